//! How much noise each step adds, and what follows from it (Ho et al. 2020 for the posterior; Xiao et al. 2022,
//! appendix C, for the continuous-time schedule that is cut into T large steps).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, check_range};

/// The time at which the data itself sits on the continuous schedule, whose end is 1.
const EPSILON: f64 = 1e-3;
/// Lower bound of the posterior variance inside its logarithm: at t = 0 the variance is 0.
const MIN_VARIANCE: f64 = 1e-20;

/// The published options of the schedule, under their published names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// T, the number of denoising steps.
    pub num_timesteps: usize,
    pub beta_min: f64,
    pub beta_max: f64,
    /// Noise variance beta_min (beta_max / beta_min)^t in place of the variance-preserving schedule.
    pub use_geometric: bool,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig { num_timesteps: 4, beta_min: 0.1, beta_max: 20.0, use_geometric: false }
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
        let time = |i: usize| EPSILON + (1.0 - EPSILON) * i as f64 / steps as f64;
        let alpha_bar: Vec<f64> = (0..=steps).map(|i| 1.0 - noise_variance(config, time(i))).collect();
        let step_beta = |i: usize| if i == 0 { 1e-8 } else { 1.0 - alpha_bar[i] / alpha_bar[i - 1] };

        // Two roundings to f32 stay from the published code, since checkpoints were trained with them: beta itself,
        // which near 1 decides how little of the signal is left, and 1 - beta, which for the first beta is exactly 1,
        // so that "x_0" is the data without noise. All else is f64.
        let betas: Vec<f64> = (0..=steps).map(|i| step_beta(i) as f32 as f64).collect();
        let alphas: Vec<f64> = betas.iter().map(|beta| (1.0 - beta) as f32 as f64).collect();
        if let Some(i) = (1..=steps).find(|&i| !(betas[i] > 0.0 && betas[i] < 1.0)) {
            return Err(Error::config(format!(
                "{config}: step {i} of the schedule has beta {}, expected one between 0 and 1; \
                 bring beta_min and beta_max nearer to their defaults, 0.1 and 20",
                betas[i],
            )));
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
    let ScheduleConfig { num_timesteps, beta_min, beta_max, use_geometric } = *config;
    check_range("schedule.num_timesteps", num_timesteps, &(1..=10_000))?;
    if !(beta_min > 0.0 && beta_max >= beta_min && beta_max.is_finite()) {
        return Err(Error::config(format!("{config}: expected 0 < beta_min <= beta_max, both finite")));
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
        let kind = if self.use_geometric { "geometric" } else { "variance-preserving" };
        let ScheduleConfig { num_timesteps, beta_min, beta_max, .. } = self;
        write!(f, "{kind} schedule with num_timesteps {num_timesteps}, beta_min {beta_min}, beta_max {beta_max}")
    }
}
