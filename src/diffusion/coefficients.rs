//! What follows from the times of a batch, in tensors on its device: recorded work finds that of other times in the same
//! memory.

use crate::autograd::Var;
use crate::error::Result;
use crate::ops;
use crate::tensor::{DType, Device, Noise, Tensor};

/// a x + b y, each sample with coefficients of its own.
#[derive(Clone)]
pub struct Mix {
    /// [N] each, of the type of x and y.
    coefficients: [Tensor; 2],
}

impl Mix {
    pub(super) fn new(a: &[f64], b: &[f64], dtype: DType, device: &Device) -> Result<Mix> {
        let tensor = |values: &[f64]| Tensor::from_values(values, [values.len()], dtype, device);
        Ok(Mix { coefficients: [tensor(a)?, tensor(b)?] })
    }

    /// Of two like [N, ...].
    pub fn of(&self, x: &Var, y: &Var) -> Result<Var> {
        let [a, b] = &self.coefficients;
        ops::add(&ops::scale_samples(x, a)?, &ops::scale_samples(y, b)?)
    }

    pub fn tensors_mut(&mut self) -> &mut [Tensor] {
        &mut self.coefficients
    }
}

/// What a generator's output leads to, each like the output.
pub struct Generated {
    /// The x_0 that it means; `None` where it is x_t itself.
    pub x0: Option<Var>,
    pub x_t: Var,
}

/// How the output of a GAN's generator for x_{t+1} leads to x_t, sample by sample.
#[derive(Clone)]
pub enum Reverse {
    /// By a draw from the posterior of x_0, with its coefficients [3, N]. The output is x_0, or the noise in x_{t+1} that
    /// tells it: `clean` of x_{t+1} and the noise.
    Posterior { clean: Option<Mix>, coefficients: Tensor },
    /// The output is x_t.
    Direct,
    /// The output is x_0, made in one step, and is diffused: a draw from q(x_t | x_0).
    Diffused(Mix),
}

impl Reverse {
    pub fn of(&self, output: Var, x_t1: &Var, noise: impl Into<Noise>) -> Result<Generated> {
        Ok(match self {
            Reverse::Posterior { clean, coefficients } => {
                let x0 = match clean {
                    None => output,
                    Some(clean) => clean.of(x_t1, &output)?,
                };
                let x_t = ops::posterior_step(&x0, x_t1, noise, coefficients)?;
                Generated { x0: Some(x0), x_t }
            }
            Reverse::Direct => Generated { x0: None, x_t: output },
            Reverse::Diffused(mix) => {
                let noise = Var::constant(noise.into().numbers(output.value())?);
                let x_t = mix.of(&output, &noise)?;
                Generated { x0: Some(output), x_t }
            }
        })
    }

    pub fn tensors_mut(&mut self) -> Vec<&mut Tensor> {
        match self {
            Reverse::Posterior { clean, coefficients } => {
                clean.iter_mut().flat_map(Mix::tensors_mut).chain([coefficients]).collect()
            }
            Reverse::Direct => Vec::new(),
            Reverse::Diffused(mix) => mix.tensors_mut().iter_mut().collect(),
        }
    }
}
