//! What a step computes from, on its device. Whatever differs from step to step is a tensor here, so that a recorded
//! step finds it where the one before had it.

use std::slice;

use super::inputs::{HalfInputs, StepInputs};
use super::step::Trainer;
use crate::diffusion::{Method, Mix, Reverse};
use crate::error::Result;
use crate::nn::Timesteps;
use crate::tensor::{Key, Noise, Tensor};

/// A GAN's step, or a part of it whose gradients are accumulated.
#[derive(Clone)]
pub(super) struct GanPart {
    /// x_0 [N, H, W, C].
    pub real: Tensor,
    pub discriminator: Half,
    pub generator: Half,
}

/// The discriminator's half of a step or the generator's: [`HalfInputs`] with what follows from t.
#[derive(Clone)]
pub(super) struct Half {
    /// Of the pair x_t, x_{t+1}, [4, N].
    pub forward_coefficients: Tensor,
    pub reverse: Reverse,
    /// As each network is told it.
    pub generator_times: Timesteps,
    pub discriminator_times: Timesteps,
    pub noise_t: Noise,
    pub noise_t1: Noise,
    pub noise_post: Noise,
    pub z: Tensor,
    /// Not a tensor: steps with dropout are not recorded.
    pub dropout: Key,
}

/// A DDPM's step, or a part of it.
#[derive(Clone)]
pub(super) struct DdpmPart {
    /// x_0 [N, H, W, C], and the noise that makes x_{t+1} of it.
    pub real: Tensor,
    pub noise: Tensor,
    pub diffusion: Mix,
    pub times: Timesteps,
    pub z: Tensor,
    pub dropout: Key,
}

/// All that differs from one step to the next, with what the learning rate and the number of the update come to, of each
/// optimizer.
#[derive(Clone)]
pub(super) enum Varying {
    Gan { parts: Vec<GanPart>, discriminator_update: Tensor, generator_update: Tensor },
    Ddpm { parts: Vec<DdpmPart>, update: Tensor },
}

impl Trainer {
    /// Everything for the next step.
    pub(super) fn prepare(&self, inputs: &StepInputs, [lr_g, lr_d]: [f64; 2]) -> Result<Varying> {
        let parts;
        let parts = match self.config().grad_accum {
            1 => slice::from_ref(inputs),
            count => {
                parts = inputs.parts(count)?;
                &parts[..]
            }
        };
        let generator_update = self.generator_optimizer.of_next_step(lr_g)?;
        if self.config().method == Method::Ddpm {
            let part = |part: &StepInputs| self.prepare_ddpm(&part.real, &part.generator);
            return Ok(Varying::Ddpm {
                parts: parts.iter().map(part).collect::<Result<_>>()?,
                update: generator_update,
            });
        }
        let part = |part: &StepInputs| {
            let half = |half: &HalfInputs| self.prepare_half(&part.real, half);
            let (discriminator, generator) = (half(&part.discriminator)?, half(&part.generator)?);
            Ok(GanPart { real: part.real.clone(), discriminator, generator })
        };
        let parts = parts.iter().map(part).collect::<Result<_>>()?;
        let discriminator_update = self.discriminator_optimizer.of_next_step(lr_d)?;
        Ok(Varying::Gan { parts, discriminator_update, generator_update })
    }

    pub(super) fn prepare_half(&self, real: &Tensor, inputs: &HalfInputs) -> Result<Half> {
        let (t, dtype, device) = (&inputs.t, real.dtype(), &real.device());
        let (process, generator) = (self.process(), self.generator());
        // What is made in one step begins with noise that nothing is added to: its numbers themselves.
        let one_shot = self.config().method == Method::OneShot;
        let noise = |noise: &Noise| match one_shot {
            true => Noise::Given(noise.numbers(real)?).to_device(device),
            false => noise.to_device(device),
        };
        let generator_times = match one_shot {
            // From pure noise, whatever the time of the picture that is judged.
            true => generator.embedded_times(process.schedule(), &vec![process.num_timesteps() - 1; t.len()])?,
            false => generator.embedded_times(process.schedule(), t)?,
        };
        Ok(Half {
            forward_coefficients: process.forward_coefficients(t, dtype, device)?,
            reverse: process.reverse(t, dtype, device)?,
            generator_times,
            discriminator_times: self.discriminator().embedded_times(t)?,
            noise_t: noise(&inputs.noise_t)?,
            noise_t1: noise(&inputs.noise_t1)?,
            noise_post: noise(&inputs.noise_post)?,
            z: inputs.z.clone(),
            dropout: inputs.dropout,
        })
    }

    pub(super) fn prepare_ddpm(&self, real: &Tensor, inputs: &HalfInputs) -> Result<DdpmPart> {
        let next: Vec<usize> = inputs.t.iter().map(|t| t + 1).collect();
        let device = &real.device();
        Ok(DdpmPart {
            real: real.clone(),
            noise: inputs.noise_t.numbers(real)?.to_device(device)?,
            diffusion: self.process().diffusion(&next, real.dtype(), device)?,
            times: self.generator().embedded_times(self.process().schedule(), &inputs.t)?,
            z: inputs.z.clone(),
            dropout: inputs.dropout,
        })
    }
}

impl Varying {
    /// The share of the batch that each part is.
    pub fn weights(&self) -> Vec<f64> {
        let pictures = |real: &Tensor| real.shape()[0] as f64;
        let sizes: Vec<f64> = match self {
            Varying::Gan { parts, .. } => parts.iter().map(|part| pictures(&part.real)).collect(),
            Varying::Ddpm { parts, .. } => parts.iter().map(|part| pictures(&part.real)).collect(),
        };
        let all: f64 = sizes.iter().sum();
        sizes.iter().map(|size| size / all).collect()
    }

    /// The same in memory that no other tensor shares.
    pub fn own(&self) -> Result<Varying> {
        let mut own = self.clone();
        for tensor in own.tensors_mut() {
            *tensor = tensor.deep_clone()?;
        }
        Ok(own)
    }

    /// Brings another step's tensors, of the same shapes, into the memory of these.
    pub fn assign(&mut self, mut from: Varying) -> Result<()> {
        self.tensors_mut().into_iter().zip(from.tensors_mut()).try_for_each(|(to, from)| to.assign(from))
    }

    fn tensors_mut(&mut self) -> Vec<&mut Tensor> {
        match self {
            Varying::Gan { parts, discriminator_update, generator_update } => {
                let updates = [discriminator_update, generator_update];
                updates.into_iter().chain(parts.iter_mut().flat_map(GanPart::tensors_mut)).collect()
            }
            Varying::Ddpm { parts, update } => {
                [update].into_iter().chain(parts.iter_mut().flat_map(DdpmPart::tensors_mut)).collect()
            }
        }
    }
}

impl GanPart {
    fn tensors_mut(&mut self) -> Vec<&mut Tensor> {
        let mut tensors = vec![&mut self.real];
        for half in [&mut self.discriminator, &mut self.generator] {
            tensors.extend([&mut half.forward_coefficients, &mut half.z]);
            tensors.extend(half.reverse.tensors_mut());
            tensors.extend([&mut half.noise_t, &mut half.noise_t1, &mut half.noise_post].map(Noise::tensor_mut));
            tensors.extend(
                embedding(&mut half.generator_times).into_iter().chain(embedding(&mut half.discriminator_times)),
            );
        }
        tensors
    }
}

impl DdpmPart {
    fn tensors_mut(&mut self) -> Vec<&mut Tensor> {
        let mut tensors = vec![&mut self.real, &mut self.noise, &mut self.z];
        tensors.extend(self.diffusion.tensors_mut());
        tensors.extend(embedding(&mut self.times));
        tensors
    }
}

/// None for a network that is not told the time.
fn embedding(times: &mut Timesteps) -> Option<&mut Tensor> {
    match times {
        Timesteps::Embedded(embedding) => Some(embedding),
        _ => None,
    }
}
