//! The curves of runs over their training.

use super::plot::{Curve, Plot};
use super::record::{Line, Record};
use crate::diffusion::Method;

/// A value of a line of statistics.
pub type Value = fn(&Line) -> Option<f64>;

/// What a value is drawn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Steps,
    Minutes,
}

impl Over {
    pub fn label(self) -> &'static str {
        match self {
            Over::Steps => "step",
            Over::Minutes => "minutes of training",
        }
    }

    fn of(self, line: &Line) -> f64 {
        match self {
            Over::Steps => line.step as f64,
            Over::Minutes => line.seconds / 60.0,
        }
    }
}

/// Where a run has a value. `None` if it never has.
pub fn curve(record: &Record, name: &str, style: usize, over: Over, value: Value) -> Option<Curve> {
    let point = |line: &Line| Some([over.of(line), value(line)?]).filter(|point| point.iter().all(|x| x.is_finite()));
    let points: Vec<[f64; 2]> = record.lines.iter().filter_map(point).collect();
    (!points.is_empty()).then(|| Curve { name: name.into(), style, points, marked: false })
}

/// The plots of one run; those of what it has.
pub fn of_run(record: &Record) -> Vec<Plot> {
    let of = |title: &str, y: &str, values: &[(&str, Value)]| {
        let numbered = values.iter().enumerate();
        let curves: Vec<Curve> =
            numbered.filter_map(|(i, (name, value))| curve(record, name, i, Over::Steps, *value)).collect();
        let (title, x, y) = (title.into(), Over::Steps.label().into(), y.into());
        (!curves.is_empty()).then_some(Plot { title, x, y, log_x: false, curves })
    };
    let generator = if is_gan(record) { "Generator" } else { "Error of the predicted noise" };
    let plots = [
        of("Discriminator", "loss", &[("real", |l| l.loss_d_real), ("fake", |l| l.loss_d_fake)]),
        of("Discriminator of x_0, real, fake and R1 together", "loss", &[("x_0", |l| l.loss_x0)]),
        of(generator, "loss", &[("G", |l| l.loss_g)]),
        of("Gradient penalty R1", "penalty", &[("R1", |l| l.loss_r1)]),
        of("Learning rates", "rate", &[("G", |l| l.lr_g), ("D", |l| l.lr_d)]),
        of("Speed", "images/s", &[("images/s", |l| l.images_per_s)]),
        of("Peak memory", "MiB", &[("memory", |l| l.peak_memory_mib)]),
    ];
    plots.into_iter().flatten().collect()
}

/// Losses of several runs over the time that they took, a curve a run in the run's style.
pub fn of_runs(runs: &[(String, &Record)]) -> Vec<Plot> {
    let of = |title: &str, value: Value, member: fn(&Record) -> bool| {
        let numbered = runs.iter().enumerate().filter(|(_, (_, record))| member(record));
        let curves: Vec<Curve> =
            numbered.filter_map(|(i, (name, record))| curve(record, name, i, Over::Minutes, value)).collect();
        let (title, x, y) = (title.into(), Over::Minutes.label().into(), "loss".into());
        (!curves.is_empty()).then_some(Plot { title, x, y, log_x: false, curves })
    };
    let plots = [
        of("Discriminator, real and fake together", |l| Some(l.loss_d_real? + l.loss_d_fake?), is_gan),
        of("Generator", |l| l.loss_g, is_gan),
        of("Error of the predicted noise (DDPM)", |l| l.loss_g, |record| !is_gan(record)),
    ];
    plots.into_iter().flatten().collect()
}

fn is_gan(record: &Record) -> bool {
    record.config.method != Method::Ddpm
}
