//! The process on batches of pictures: noisy pairs for training, posterior steps for both training and sampling.

use super::{Schedule, ScheduleConfig};
use crate::autograd::Var;
use crate::error::Result;
use crate::ops;
use crate::tensor::{Noise, Tensor};

/// A schedule applied to pictures [N, H, W, C] with a time step a sample, `t` of [N] from 0 to T - 1.
pub struct Process {
    schedule: Schedule,
}

impl Process {
    /// Errors: those of [`Schedule::new`].
    pub fn new(config: &ScheduleConfig) -> Result<Process> {
        Ok(Process { schedule: Schedule::new(config)? })
    }

    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// T, the number of denoising steps.
    pub fn num_timesteps(&self) -> usize {
        self.schedule.num_timesteps()
    }

    /// The pair that one denoising step connects, from the data x_0 and noise of its shape:
    ///
    /// x_t = a_s_cum[t] x_0 + sigmas_cum[t] noise_t,   x_{t+1} = a_s[t+1] x_t + sigmas[t+1] noise_{t+1}
    pub fn forward_pair(
        &self,
        x0: &Tensor,
        t: &[usize],
        noise_t: impl Into<Noise>,
        noise_t1: impl Into<Noise>,
    ) -> Result<(Tensor, Tensor)> {
        let Schedule { a_s, sigmas, a_s_cum, sigmas_cum, .. } = &self.schedule;
        let of_t = |table: &[f64]| t.iter().map(|&t| table[t]).collect();
        let of_next = |table: &[f64]| t.iter().map(|&t| table[t + 1]).collect();
        ops::forward_pair(x0, noise_t, noise_t1, &[of_t(a_s_cum), of_t(sigmas_cum), of_next(a_s), of_next(sigmas)])
    }

    /// A draw from q(x_t | x_{t+1}, x_0), differentiable in both:
    ///
    /// x_t = coef1[t] x_0 + coef2[t] x_{t+1} + sqrt(posterior_variance[t]) noise
    ///
    /// At t = 0 the variance is 0: no noise is added.
    pub fn posterior_step(&self, x0: &Var, x_t1: &Var, t: &[usize], noise: impl Into<Noise>) -> Result<Var> {
        let Schedule { posterior_mean_coef1, posterior_mean_coef2, posterior_variance, .. } = &self.schedule;
        let of_t = |table: &[f64]| t.iter().map(|&t| table[t]).collect();
        let deviation = t.iter().map(|&t| posterior_variance[t].sqrt()).collect();
        ops::posterior_step(x0, x_t1, noise, &[of_t(posterior_mean_coef1), of_t(posterior_mean_coef2), deviation])
    }
}
