//! How much noise each step adds, and what follows from it (Ho et al. 2020 for the posterior and the linear schedule;
//! Nichol and Dhariwal 2021 for the cosine one; Xiao et al. 2022, appendix C, for the continuous-time schedule that is
//! cut into T large steps).

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, check_range};

/// The time at which the data itself sits on the continuous schedule, whose end is 1.
const EPSILON: f64 = 1e-3;
/// Lower bound of the posterior variance inside its logarithm: at t = 0 the variance is 0.
const MIN_VARIANCE: f64 = 1e-20;
/// Of the cosine schedule: what keeps its first steps from being too small, and its last from leaving nothing.
const COSINE_OFFSET: f64 = 0.008;
const COSINE_MAX_BETA: f64 = 0.999;

/// Where the noise of the steps comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// As published with denoising diffusion GANs: continuous time, cut into T steps.
    #[default]
    Continuous,
    /// beta_i from beta_min / T to beta_max / T in equal steps: with beta_min 0.1 and beta_max 20 the 1e-4 to 0.02 of
    /// T = 1000, scaled by 1000 / T for other T.
    Linear,
    /// alpha_bar_i = f(i) / f(0) with f(i) = cos^2(pi/2 (i / T + s) / (1 + s)), s = 0.008, and beta at most 0.999.
    Cosine,
}

/// The published options of the schedule, under their published names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    pub kind: ScheduleKind,
    /// T, the number of denoising steps.
    pub num_timesteps: usize,
    /// The cosine schedule has no use for the range of beta.
    pub beta_min: f64,
    pub beta_max: f64,
    /// Noise variance beta_min (beta_max / beta_min)^t in place of the variance-preserving continuous schedule.
    pub use_geometric: bool,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        let kind = ScheduleKind::default();
        ScheduleConfig { kind, num_timesteps: 4, beta_min: 0.1, beta_max: 20.0, use_geometric: false }
    }
}

/// The tables of the process with T steps. Forward tables have T + 1 entries, index 0 is the data; posterior tables
/// have T entries, index t is the step from x_{t+1} to x_t.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// x_i = a_s[i] x_{i-1} + sigmas[i] noise, beta_i = sigmas[i]^2.
    pub betas: Vec<f64>,
    pub sigmas: Vec<f64>,
    pub a_s: Vec<f64>,
    /// x_i = a_s_cum[i] x_0 + sigmas_cum[i] noise.
    pub a_s_cum: Vec<f64>,
    pub sigmas_cum: Vec<f64>,
    /// q(x_t | x_{t+1}, x_0) = N(coef1[t] x_0 + coef2[t] x_{t+1}, posterior_variance[t]).
    pub posterior_mean_coef1: Vec<f64>,
    pub posterior_mean_coef2: Vec<f64>,
    pub posterior_variance: Vec<f64>,
    pub posterior_log_variance_clipped: Vec<f64>,
}

impl Schedule {
    /// Errors: no steps, a range of beta that gives no valid noise.
    pub fn new(config: &ScheduleConfig) -> Result<Schedule> {
        check(config)?;
        let steps = config.num_timesteps;
        let betas = betas(config);
        let alphas: Vec<f64> = match config.kind {
            // The second of the published roundings: see `betas`.
            ScheduleKind::Continuous => betas.iter().map(|beta| (1.0 - beta) as f32 as f64).collect(),
            _ => betas.iter().map(|beta| 1.0 - beta).collect(),
        };
        if let Some(i) = (1..=steps).find(|&i| !(betas[i] > 0.0 && betas[i] < 1.0)) {
            let what =
                format!("{config}: step {i} of the schedule has beta {}, expected one between 0 and 1", betas[i]);
            let remedy = match config.kind {
                ScheduleKind::Linear => {
                    "its largest beta is beta_max / num_timesteps: take more steps, or the cosine one"
                }
                _ => "bring beta_min and beta_max nearer to their defaults, 0.1 and 20",
            };
            return Err(Error::config(format!("{what}; {remedy}")));
        }

        let a_s: Vec<f64> = alphas.iter().map(|alpha| alpha.sqrt()).collect();
        let a_s_cum = cumulative_product(&a_s);
        // The posterior is that of steps 1 ..= T; before them nothing has been added.
        let (beta, alpha) = (&betas[1..], &alphas[1..]);
        let alpha_bar = cumulative_product(alpha);
        let alpha_bar_before = |t: usize| if t == 0 { 1.0 } else { alpha_bar[t - 1] };
        let table = |f: &dyn Fn(usize) -> f64| (0..steps).map(f).collect::<Vec<f64>>();

        let posterior_variance = table(&|t| beta[t] * (1.0 - alpha_bar_before(t)) / (1.0 - alpha_bar[t]));
        Ok(Schedule {
            sigmas: betas.iter().map(|beta| beta.sqrt()).collect(),
            sigmas_cum: a_s_cum.iter().map(|a| (1.0 - a * a).sqrt()).collect(),
            posterior_mean_coef1: table(&|t| beta[t] * alpha_bar_before(t).sqrt() / (1.0 - alpha_bar[t])),
            posterior_mean_coef2: table(&|t| (1.0 - alpha_bar_before(t)) * alpha[t].sqrt() / (1.0 - alpha_bar[t])),
            posterior_log_variance_clipped: posterior_variance.iter().map(|v| v.max(MIN_VARIANCE).ln()).collect(),
            posterior_variance,
            a_s_cum,
            a_s,
            betas,
        })
    }

    /// T, the number of denoising steps.
    pub fn num_timesteps(&self) -> usize {
        self.posterior_variance.len()
    }
}

/// beta_0, that of the data itself, to beta_T.
fn betas(config: &ScheduleConfig) -> Vec<f64> {
    let ScheduleConfig { kind, num_timesteps: steps, beta_min, beta_max, .. } = *config;
    // From how much of the signal is left.
    let of_alpha_bar = |alpha_bar: &dyn Fn(usize) -> f64, i: usize| 1.0 - alpha_bar(i) / alpha_bar(i - 1);
    match kind {
        ScheduleKind::Continuous => {
            let time = |i: usize| EPSILON + (1.0 - EPSILON) * i as f64 / steps as f64;
            let alpha_bar = |i: usize| 1.0 - noise_variance(config, time(i));
            let beta = |i: usize| if i == 0 { 1e-8 } else { of_alpha_bar(&alpha_bar, i) };
            // Two roundings to f32 stay from the published code, since checkpoints were trained with them: beta itself,
            // which near 1 decides how little of the signal is left, and 1 - beta, which for the first beta is exactly
            // 1, so that "x_0" is the data without noise. All else is f64.
            (0..=steps).map(|i| beta(i) as f32 as f64).collect()
        }
        ScheduleKind::Linear => {
            let share = |i: usize| (i - 1) as f64 / (steps - 1).max(1) as f64;
            let beta = |i: usize| (beta_min + (beta_max - beta_min) * share(i)) / steps as f64;
            std::iter::once(0.0).chain((1..=steps).map(beta)).collect()
        }
        ScheduleKind::Cosine => {
            let angle = |i: usize| (i as f64 / steps as f64 + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * FRAC_PI_2;
            let f = |i: usize| angle(i).cos().powi(2);
            let beta = |i: usize| of_alpha_bar(&f, i).min(COSINE_MAX_BETA);
            std::iter::once(0.0).chain((1..=steps).map(beta)).collect()
        }
    }
}

/// The share of noise in the variance of x(t), t from `EPSILON` to 1.
fn noise_variance(config: &ScheduleConfig, t: f64) -> f64 {
    let ScheduleConfig { beta_min, beta_max, use_geometric, .. } = *config;
    if use_geometric {
        beta_min * (beta_max / beta_min).powf(t)
    } else {
        1.0 - (2.0 * (-0.25 * t * t * (beta_max - beta_min) - 0.5 * t * beta_min)).exp()
    }
}

fn cumulative_product(factors: &[f64]) -> Vec<f64> {
    let multiply = |product: &mut f64, factor: &f64| {
        *product *= factor;
        Some(*product)
    };
    factors.iter().scan(1.0, multiply).collect()
}

fn check(config: &ScheduleConfig) -> Result<()> {
    let ScheduleConfig { kind, num_timesteps, beta_min, beta_max, use_geometric } = *config;
    check_range("schedule.num_timesteps", num_timesteps, &(1..=10_000))?;
    if !(beta_min > 0.0 && beta_max >= beta_min && beta_max.is_finite()) {
        return Err(Error::config(format!("{config}: expected 0 < beta_min <= beta_max, both finite")));
    }
    if use_geometric && kind != ScheduleKind::Continuous {
        return Err(Error::config(format!(
            "{config}: use_geometric is for the continuous schedule; leave one of them out"
        )));
    }
    if use_geometric && beta_max >= 1.0 {
        return Err(Error::config(format!(
            "{config}: on the geometric schedule beta_max is the variance of the noise at the end, which must be \
             below 1; use for instance beta_min 0.01 and beta_max 0.99, or leave use_geometric out",
        )));
    }
    Ok(())
}

impl std::fmt::Display for ScheduleConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let ScheduleConfig { num_timesteps, beta_min, beta_max, .. } = self;
        let kind = match self.kind {
            ScheduleKind::Continuous if self.use_geometric => "geometric",
            ScheduleKind::Continuous => "variance-preserving",
            ScheduleKind::Linear => "linear",
            ScheduleKind::Cosine => return write!(f, "cosine schedule with num_timesteps {num_timesteps}"),
        };
        write!(f, "{kind} schedule with num_timesteps {num_timesteps}, beta_min {beta_min}, beta_max {beta_max}")
    }
}
