//! Denoising diffusion probabilistic models (Ho, Jain, Abbeel, NeurIPS 2020) on the same networks: what denoising
//! diffusion GANs are compared with.

use super::inputs::HalfInputs;
use super::optimizer::Gradients;
use super::pending::finite;
use super::prepared::DdpmPart;
use super::step::gradients_of;
use super::{TrainConfig, Trainer, losses};
use crate::autograd::Var;
use crate::diffusion::{Method, Prediction, Process, SamplerKind, ScheduleConfig, ScheduleKind};
use crate::error::{Error, Result};
use crate::models::discriminator::DiscriminatorSize;
use crate::models::{DiscriminatorConfig, GeneratorConfig};
use crate::tensor::Tensor;

/// T, if nothing else is asked for.
const NUM_TIMESTEPS: usize = 200;
/// Steps of the pictures that a run draws of itself: with all of T they would take longer than the training between.
const PREVIEW_STEPS: usize = 50;

impl TrainConfig {
    /// The same training of a DDPM: the network without z and tanh, the linear schedule in 200 steps, no discriminator,
    /// Adam with the decays 0.9 and 0.999. What else there is (widths, batch, learning rate and its decay, average) stays.
    pub fn as_ddpm(&self) -> TrainConfig {
        let schedule =
            ScheduleConfig { kind: ScheduleKind::Linear, num_timesteps: NUM_TIMESTEPS, ..Default::default() };
        TrainConfig {
            method: Method::Ddpm,
            prediction: Prediction::Noise,
            beta1: 0.9,
            beta2: 0.999,
            schedule,
            generator: GeneratorConfig { nz: 0, not_use_tanh: true, ..self.generator.clone() },
            discriminator: DiscriminatorConfig { size: DiscriminatorSize::None, ..self.discriminator.clone() },
            ..self.clone()
        }
    }

    /// Errors: keys that a DDPM cannot have.
    pub(super) fn check_ddpm(&self) -> Result<()> {
        let GeneratorConfig { nz, conditional, .. } = self.generator;
        let size = self.discriminator.size;
        for (ok, key, value, expected) in [
            (nz == 0, "generator.nz", nz.to_string(), "0: a DDPM has no latent z"),
            (conditional, "generator.conditional", conditional.to_string(), "true: a DDPM must be told the time"),
            (
                size == DiscriminatorSize::None,
                "discriminator.size",
                format!("{size:?}").to_lowercase(),
                "none: a DDPM has no discriminator",
            ),
        ] {
            if !ok {
                return Err(Error::setting(key, value, expected));
            }
        }
        Ok(())
    }

    /// What a run draws its own pictures with: of a DDPM, DDIM in a few steps.
    pub(super) fn preview(&self) -> Result<Process> {
        let process = self.process()?;
        match self.method {
            Method::Ddpm => {
                let steps = process.num_timesteps().min(PREVIEW_STEPS);
                process.sampled(SamplerKind::Ddim, Some(steps))
            }
            _ => Ok(process),
        }
    }
}

impl Trainer {
    /// The error of the predicted noise in x_{t+1}, with its gradients.
    pub fn noise_gradients(&self, real: &Tensor, inputs: &HalfInputs) -> Result<(f64, Gradients)> {
        let (losses, gradients) = self.noise_terms(&self.prepare_ddpm(real, inputs)?)?;
        Ok((finite("loss", losses[0].value().item(), self.step_number() + 1)?, gradients))
    }

    pub(super) fn noise_terms(&self, part: &DdpmPart) -> Result<(Vec<Var>, Gradients)> {
        let [real, noise, z] = [&part.real, &part.noise, &part.z].map(|tensor| Var::constant(tensor.clone()));
        let x_t1 = part.diffusion.of(&real, &noise)?;
        let predicted = self.generator.forward_train(&x_t1, &part.times, &z, part.dropout)?;
        let loss = losses::noise(&predicted, &noise)?;
        drop(predicted);
        Ok((vec![loss.detach()], gradients_of(loss, self.generator.params())?))
    }
}
