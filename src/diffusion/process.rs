//! The process on batches of pictures: noisy pairs for training, posterior steps for both training and sampling.

use super::reverse::{Jump, Path};
use super::{Generated, Method, Mix, Prediction, Reverse, SamplerKind, Schedule, ScheduleConfig};
use crate::autograd::Var;
use crate::error::{Error, Result};
use crate::ops;
use crate::tensor::{DType, Device, Noise, Tensor};

/// A schedule applied to pictures [N, H, W, C] with a time step a sample, `t` of [N] from 0 to T - 1.
pub struct Process {
    schedule: Schedule,
    method: Method,
    prediction: Prediction,
    /// The states of sampling.
    path: Path,
}

impl Process {
    /// That of a denoising diffusion GAN as published. Errors: those of [`Schedule::new`].
    pub fn new(config: &ScheduleConfig) -> Result<Process> {
        Process::of(Method::Ddgan, Prediction::X0, config)
    }

    /// That of a method and of what its network predicts; it samples with all of its steps. Errors: a prediction
    /// that is not the method's; those of [`Schedule::new`].
    pub fn of(method: Method, prediction: Prediction, config: &ScheduleConfig) -> Result<Process> {
        let only = match method {
            Method::Ddgan => None,
            Method::Ddpm => Some(Prediction::Noise),
            Method::OneShot => Some(Prediction::X0),
        };
        if let Some(only) = only.filter(|only| prediction != *only) {
            return Err(Error::setting("prediction", prediction, format_args!("{only}, as method is {method}")));
        }
        let schedule = Schedule::new(config)?;
        let steps = if method == Method::OneShot { 1 } else { schedule.num_timesteps() };
        let path = Path::new(SamplerKind::Ancestral, steps, schedule.num_timesteps())?;
        Ok(Process { schedule, method, prediction, path })
    }

    /// The same that samples in another way, in `steps` steps or in all.
    ///
    /// Errors: not a DDPM, whose steps alone are small enough to be left out; no steps, or more than T.
    pub fn sampled(self, kind: SamplerKind, steps: Option<usize>) -> Result<Process> {
        if self.method != Method::Ddpm {
            let steps = self.steps().len();
            return Err(Error::config(format!(
                "another sampler or number of steps is for a DDPM; this generator always makes all of its {steps} steps"
            )));
        }
        let path = Path::new(kind, steps.unwrap_or(self.num_timesteps()), self.num_timesteps())?;
        Ok(Process { path, ..self })
    }

    pub fn method(&self) -> Method {
        self.method
    }

    pub fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// How it samples, if there is a choice.
    pub fn sampler(&self) -> Option<SamplerKind> {
        (self.method == Method::Ddpm).then_some(self.path.kind)
    }

    /// The steps of sampling, from x_{t+1} each, the first one from x_T.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = usize> + use<> {
        self.path.steps()
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
        ops::forward_pair(x0, noise_t, noise_t1, &self.forward_coefficients(t, x0.dtype(), &x0.device())?)
    }

    /// The four of [`Process::forward_pair`] for each sample, [4, N], as pictures of that type take them.
    pub fn forward_coefficients(&self, t: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let Schedule { a_s, sigmas, a_s_cum, sigmas_cum, .. } = &self.schedule;
        let of_t = |table: &[f64]| t.iter().map(|&t| table[t]).collect::<Vec<f64>>();
        let of_next = |table: &[f64]| t.iter().map(|&t| table[t + 1]).collect();
        let values = [of_t(a_s_cum), of_t(sigmas_cum), of_next(a_s), of_next(sigmas)].concat();
        Tensor::from_values(&values, [4, t.len()], dtype.wide(), device)
    }

    /// A draw from q(x_i | x_0), differentiable: a_s_cum[i] x_0 + sigmas_cum[i] noise, with an `i` of [N] from 0 to T.
    pub fn diffuse(&self, x0: &Var, i: &[usize], noise: &Var) -> Result<Var> {
        self.diffusion(i, x0.dtype(), &x0.device())?.of(x0, noise)
    }

    /// What [`Process::diffuse`] makes of x_0 and noise of that type.
    pub fn diffusion(&self, i: &[usize], dtype: DType, device: &Device) -> Result<Mix> {
        let of_i = |table: &[f64]| i.iter().map(|&i| table[i]).collect::<Vec<f64>>();
        Mix::new(&of_i(&self.schedule.a_s_cum), &of_i(&self.schedule.sigmas_cum), dtype, device)
    }

    /// A draw from q(x_t | x_{t+1}, x_0), differentiable in both:
    ///
    /// x_t = coef1[t] x_0 + coef2[t] x_{t+1} + sqrt(posterior_variance[t]) noise
    ///
    /// At t = 0 this is x_0 itself: the variance and coef2 are 0.
    pub fn posterior_step(&self, x0: &Var, x_t1: &Var, t: &[usize], noise: impl Into<Noise>) -> Result<Var> {
        ops::posterior_step(x0, x_t1, noise, &self.posterior_coefficients(t, x0.dtype(), &x0.device())?)
    }

    /// The three of [`Process::posterior_step`] for each sample, [3, N], as pictures of that type take them.
    pub fn posterior_coefficients(&self, t: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let Schedule { posterior_mean_coef1, posterior_mean_coef2, posterior_variance, .. } = &self.schedule;
        let of_t = |table: &[f64]| t.iter().map(|&t| table[t]).collect::<Vec<f64>>();
        let deviation = t.iter().map(|&t| posterior_variance[t].sqrt()).collect();
        let values = [of_t(posterior_mean_coef1), of_t(posterior_mean_coef2), deviation].concat();
        Tensor::from_values(&values, [3, t.len()], dtype.wide(), device)
    }

    /// The x_0 that x_{t+1} and the noise e in it tell:
    ///
    /// x_0 = (x_{t+1} - sigmas_cum[t+1] e) / a_s_cum[t+1]
    fn clean(&self, t: &[usize], dtype: DType, device: &Device) -> Result<Mix> {
        let Schedule { a_s_cum, sigmas_cum, .. } = &self.schedule;
        let of_x: Vec<f64> = t.iter().map(|&t| 1.0 / a_s_cum[t + 1]).collect();
        let of_noise: Vec<f64> = t.iter().map(|&t| -sigmas_cum[t + 1] / a_s_cum[t + 1]).collect();
        Mix::new(&of_x, &of_noise, dtype, device)
    }

    /// What the output of a GAN's generator for x_{t+1} leads to, sample by sample: a draw from the posterior of the x_0
    /// that it means. Made in one step, x_0 is diffused instead: a draw from q(x_t | x_0).
    pub fn generated(&self, output: Var, x_t1: &Var, t: &[usize], noise: impl Into<Noise>) -> Result<Generated> {
        self.reverse(t, x_t1.dtype(), &x_t1.device())?.of(output, x_t1, noise)
    }

    /// What [`Process::generated`] does with outputs of that type.
    pub fn reverse(&self, t: &[usize], dtype: DType, device: &Device) -> Result<Reverse> {
        if self.method == Method::OneShot {
            return Ok(Reverse::Diffused(self.diffusion(t, dtype, device)?));
        }
        let clean = match self.prediction {
            Prediction::X0 => None,
            Prediction::Previous => return Ok(Reverse::Direct),
            Prediction::Noise => Some(self.clean(t, dtype, device)?),
        };
        Ok(Reverse::Posterior { clean, coefficients: self.posterior_coefficients(t, dtype, device)? })
    }

    /// A step of sampling from x_{t+1}, t one of [`Process::steps`], with what the network gave for it: the x_0 that this
    /// means (x_t, if it means none), and the next state.
    ///
    /// A DDPM's x_0 is kept in [-1, 1], as Ho et al. do, if it is a picture; points have no such bounds.
    pub fn denoise(&self, output: Var, x_t1: &Var, t: usize, noise: impl Into<Noise>) -> Result<(Var, Var)> {
        let (n, dtype, device) = (x_t1.shape()[0], x_t1.dtype(), &x_t1.device());
        match self.method {
            Method::OneShot => Ok((output.clone(), output)),
            Method::Ddgan => {
                let Generated { x0, x_t } = self.generated(output, x_t1, &vec![t; n], noise)?;
                Ok((x0.unwrap_or_else(|| x_t.clone()), x_t))
            }
            Method::Ddpm => {
                let mut x0 = self.clean(&vec![t; n], dtype, device)?.of(x_t1, &output)?;
                if x0.shape()[1..3] != [1, 1] {
                    x0 = clamp_unit(&x0)?;
                }
                let Jump { of_x0, of_x, deviation } = self.path.jump(&self.schedule, t);
                let coefficients = [of_x0, of_x, deviation].map(|of| vec![of; n]).concat();
                let coefficients = Tensor::from_values(&coefficients, [3, n], dtype.wide(), device)?;
                let next = ops::posterior_step(&x0, x_t1, noise, &coefficients)?;
                Ok((x0, next))
            }
        }
    }
}

/// x where it is in [-1, 1], else the nearer end: max(x + 1, 0) - max(x - 1, 0) - 1.
fn clamp_unit(x: &Var) -> Result<Var> {
    let above = |bound: f64| ops::leaky_relu(&ops::affine(x, 1.0, -bound)?, 0.0);
    ops::affine(&ops::scale_add(1.0, &above(-1.0)?, -1.0, &above(1.0)?)?, 1.0, -1.0)
}
