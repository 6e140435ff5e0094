//! Where in the diffusion each sample of a batch is, and its embedding.

use std::sync::{Mutex, PoisonError};

use super::{Init, Param, Scope};
use crate::autograd::Var;
use crate::tensor::{DType, Device, Tensor};
use crate::{Error, Result, ops};

/// The time of each sample of a batch.
#[derive(Clone, Debug)]
pub enum Timesteps {
    /// Indices 0 .. T-1, where index t stands for the pair (x_t, x_{t+1}).
    Index(Vec<usize>),
    /// Noise levels, positive.
    NoiseLevel(Vec<f64>),
    /// What the network that is told makes of either, [N, dim], where it computes.
    Embedded(Tensor),
}

impl Timesteps {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Timesteps::Index(t) => t.len(),
            Timesteps::NoiseLevel(level) => level.len(),
            Timesteps::Embedded(embedding) => embedding.shape()[0],
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [N, dim]: sines, then cosines, of t at frequencies from 1 down to 1/10000.
    pub fn sinusoidal(&self, dim: usize, dtype: DType, device: &Device) -> Result<Var> {
        let embed = |t: &[f64]| ops::sinusoidal_embedding(t, dim, dtype, device);
        Ok(Var::constant(match self {
            Timesteps::Index(t) => embed(&t.iter().map(|&t| t as f64).collect::<Vec<_>>())?,
            Timesteps::NoiseLevel(level) => embed(level)?,
            Timesteps::Embedded(embedding) => embedding.clone(),
        }))
    }
}

/// Sines and cosines of the noise level's logarithm at random frequencies, which are fixed but saved.
pub struct FourierEmbedding {
    frequencies: Param,
    /// Their last value, and its numbers in the computer's memory, so that no step waits for a GPU to tell them.
    on_host: Mutex<Option<[Tensor; 2]>>,
}

impl FourierEmbedding {
    /// `size` frequencies of standard deviation `scale`; the embedding has 2 * `size` numbers.
    pub fn new(scope: &mut Scope, size: usize, scale: f64) -> Self {
        FourierEmbedding { frequencies: scope.fixed("W", &[size], Init::Normal(scale)), on_host: Mutex::default() }
    }

    /// [N, 2 size]. Errors unless every time is a positive noise level.
    pub fn forward(&self, t: &Timesteps) -> Result<Var> {
        let levels = match t {
            Timesteps::NoiseLevel(levels) if levels.iter().all(|&l| l > 0.0) => levels,
            Timesteps::Embedded(embedding) => return Ok(Var::constant(embedding.clone())),
            _ => {
                let what = format!("embedding_type fourier takes positive noise levels as times, got {t:?}");
                return Err(Error::config(what));
            }
        };
        let logarithms: Vec<f64> = levels.iter().map(|l| l.ln()).collect();
        let [value, on_host] = self.frequencies()?;
        Ok(Var::constant(ops::fourier_embedding(&logarithms, &on_host, &value.device())?))
    }

    /// The frequencies where they live, and in the computer's memory.
    fn frequencies(&self) -> Result<[Tensor; 2]> {
        let value = self.frequencies.value();
        let mut known = self.on_host.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(known) if known[0].shares_memory(&value) => Ok(known.clone()),
            _ => {
                let on_host = value.to_device(&Device::Cpu)?;
                Ok(known.insert([value, on_host]).clone())
            }
        }
    }
}
