//! The way from noise to pictures: which steps are made, and how a network's output leads from one to the next.

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::error::{Result, check_range};

/// What is trained: it decides how the network learns, and how pictures are drawn with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A denoising diffusion GAN (Xiao, Kreis, Vahdat, ICLR 2022): the generator leads from x_{t+1} and a latent to x_t,
    /// and a discriminator, which sees x_{t+1} too, trains it.
    #[default]
    Ddgan,
    /// A denoising diffusion probabilistic model (Ho, Jain, Abbeel, NeurIPS 2020): the network predicts the noise in
    /// x_{t+1}.
    Ddpm,
    /// A GAN whose generator makes x_0 from pure noise in one step, and whose discriminator sees true and made pictures
    /// after they were diffused to x_t: the process as augmentation (the paper's ablation; Wang et al., ICLR 2023).
    OneShot,
}

/// What the output of a denoising diffusion GAN's generator for x_{t+1} is; a DDPM's is always the noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// x_0, as published; x_t is then drawn from the posterior.
    #[default]
    X0,
    /// x_t itself: direct denoising, an ablation of the paper.
    Previous,
    /// The noise in x_{t+1}, which tells x_0: another ablation.
    Noise,
}

/// How a DDPM draws: both are the process of Song, Meng, Ermon (DDIM, ICLR 2021), equation 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplerKind {
    /// With the posterior's noise in every step (eta = 1); of all steps it is the DDPM's own.
    Ancestral,
    /// Without noise (eta = 0): x_T decides the picture.
    Ddim,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Method::Ddgan => "ddgan",
            Method::Ddpm => "ddpm",
            Method::OneShot => "one_shot",
        })
    }
}

impl std::fmt::Display for Prediction {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Prediction::X0 => "x0",
            Prediction::Previous => "previous",
            Prediction::Noise => "noise",
        })
    }
}

impl std::fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            SamplerKind::Ancestral => "ancestral",
            SamplerKind::Ddim => "ddim",
        })
    }
}

/// The states x_i that a picture goes through.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path {
    pub kind: SamplerKind,
    /// i from T down to 0.
    states: Vec<usize>,
}

/// A step from x_i to an earlier x_j in numbers: x_j = of_x0 x_0 + of_x x_i + deviation noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Jump {
    pub of_x0: f64,
    pub of_x: f64,
    pub deviation: f64,
}

impl Path {
    /// In so many steps, evenly spread.
    ///
    /// Errors: no steps, or more than T.
    pub fn new(kind: SamplerKind, steps: usize, num_timesteps: usize) -> Result<Path> {
        check_range("steps", steps, &(1..=num_timesteps))?;
        Ok(Path { kind, states: (0..=steps).rev().map(|k| k * num_timesteps / steps).collect() })
    }

    /// The step from each state but the last: t of the state x_{t+1}.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = usize> + use<> {
        let starts: Vec<usize> = self.states[..self.states.len() - 1].iter().map(|i| i - 1).collect();
        starts.into_iter()
    }

    /// The step from x_{t+1} to the next state.
    ///
    /// With a = alpha_bar of the one and b of the other, x_i = sqrt(a) x_0 + sqrt(1 - a) e, where e is the noise that
    /// x_i and x_0 tell, and
    ///
    /// x_j = sqrt(b) x_0 + sqrt(1 - b - s^2) e + s noise,   s^2 = eta (1 - b) / (1 - a) (1 - a / b)
    pub fn jump(&self, schedule: &Schedule, t: usize) -> Jump {
        let next = self.states.iter().copied().find(|&i| i <= t).expect("the last state is 0");
        let (sqrt_a, sqrt_b) = (schedule.a_s_cum[t + 1], schedule.a_s_cum[next]);
        let (noise_a, noise_b) = (1.0 - sqrt_a * sqrt_a, 1.0 - sqrt_b * sqrt_b);
        let variance = match self.kind {
            SamplerKind::Ancestral => noise_b / noise_a * (1.0 - (sqrt_a / sqrt_b).powi(2)),
            SamplerKind::Ddim => 0.0,
        };
        // Rounding must not make it negative.
        let of_x = ((noise_b - variance).max(0.0) / noise_a).sqrt();
        Jump { of_x0: sqrt_b - of_x * sqrt_a, of_x, deviation: variance.sqrt() }
    }
}
