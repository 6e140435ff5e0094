//! Fixtures of the schedule and of sampling.

use serde::Deserialize;

use super::{Group, Judged, compare_one};
use crate::Result;
use crate::diffusion::{Process, Schedule, ScheduleConfig};
use crate::models::{Generator, GeneratorConfig};
use crate::sample::{Denoised, denoise};
use crate::tensor::Tensor;
use crate::testing::fixtures::Fixture;

pub fn schedule(fixture: &Fixture) -> Result<Vec<Group>> {
    let schedule = Schedule::new(&fixture.config()?)?;
    let tables = [
        ("betas", schedule.betas),
        ("sigmas", schedule.sigmas),
        ("a_s", schedule.a_s),
        ("a_s_cum", schedule.a_s_cum),
        ("sigmas_cum", schedule.sigmas_cum),
        ("posterior_variance", schedule.posterior_variance),
        ("posterior_log_variance_clipped", schedule.posterior_log_variance_clipped),
        ("posterior_mean_coef1", schedule.posterior_mean_coef1),
        ("posterior_mean_coef2", schedule.posterior_mean_coef2),
    ];
    let check = |(name, table): (&str, Vec<f64>)| {
        let steps = table.len();
        compare_one(fixture, name, Judged::Output, &Tensor::from_f64(&table, [steps]))
    };
    tables.into_iter().map(check).collect()
}

/// A generator, and the options of its process beside it.
#[derive(Deserialize)]
struct SampleConfig {
    generator: GeneratorConfig,
    #[serde(flatten)]
    schedule: ScheduleConfig,
}

/// Every step starts from what this program made of the one before.
pub fn sample(fixture: &Fixture) -> Result<Vec<Group>> {
    let config: SampleConfig = fixture.config()?;
    let process = Process::new(&config.schedule)?;
    let generator = Generator::new(&config.generator, 0, fixture.dtype(), fixture.device())?;
    fixture.load("param.", generator.params())?;
    let mut x = fixture.tensor("x_T")?;
    let mut groups = Vec::new();
    for t in (0..process.num_timesteps()).rev() {
        let (z, noise) = (fixture.tensor(&format!("z.{t}"))?, fixture.tensor(&format!("noise.{t}"))?);
        let Denoised { x0, x_t } = denoise(&generator, &process, &x, t, &z, &noise)?;
        groups.push(compare_one(fixture, &format!("x0.{t}"), Judged::Output, &x0)?);
        groups.push(compare_one(fixture, &format!("x.{t}"), Judged::Output, &x_t)?);
        x = x_t;
    }
    Ok(groups)
}
