//! One training step: the discriminator's half and update, then the generator's.

use super::TrainConfig;
use super::inputs::{Draw, StepInputs};
use super::optimizer::{Gradients, Optimizer, accumulate};
use super::pending::{Losses, Pending};
use super::prepared::{DdpmPart, GanPart, Varying};
use super::replay::Way;
use crate::autograd::{Graph, Var, grad, no_grad};
use crate::backend::trace;
use crate::diffusion::{Method, Process};
use crate::error::{Error, Result};
use crate::models::{Discriminator, Generator};
use crate::nn::Param;
use crate::ops;
use crate::tensor::{DType, Device, Precision, Tensor};

/// The networks with what trains them.
pub struct Trainer {
    pub(super) config: TrainConfig,
    process: Process,
    pub(super) generator: Generator,
    /// The generator with the moving average of the parameters.
    pub(super) ema: Option<Generator>,
    pub(super) discriminator: Discriminator,
    /// A second one, of x_0.
    pub(super) x0_discriminator: Option<Discriminator>,
    pub(super) generator_optimizer: Optimizer,
    /// Of both discriminators.
    pub(super) discriminator_optimizer: Optimizer,
    /// The number of the next step, counted from 0.
    pub(super) step: u64,
    /// [1], 0 until a loss is not finite, then NaN, and nothing is updated any more: so a step may begin before the
    /// losses of the one before were looked at.
    pub(super) health: Tensor,
    /// How steps of whole batches are made, and which kinds of them were made: with R1, without.
    pub(super) way: Way,
    pub(super) kinds_done: Vec<bool>,
}

impl Trainer {
    /// Networks whose parameters, optimizers and losses are in `dtype`, and which compute in the precision of `config`.
    ///
    /// Errors: a configuration that cannot work, a precision that the device has not.
    pub fn new(config: &TrainConfig, dtype: DType, device: &Device) -> Result<Trainer> {
        config.validate()?;
        let compute = match config.precision {
            Precision::F32 => dtype,
            bf16 => bf16.on(device)?,
        };
        let generator =
            || Ok::<_, Error>(Generator::new(&config.generator, config.seed, dtype, device)?.computing_in(compute));
        let (generator, ema) = (generator()?, config.use_ema.then(generator).transpose()?);
        let discriminator = |seed| {
            Ok::<_, Error>(Discriminator::new(&config.discriminator, seed, dtype, device)?.computing_in(compute))
        };
        // Two that began alike would have less to tell.
        let x0_discriminator = (config.x0_weight > 0.0).then(|| discriminator(config.seed + 1)).transpose()?;
        let discriminator = discriminator(config.seed)?;
        let optimizer = |params: &[Param]| Optimizer::new(params, config.beta1, config.beta2);
        let generator_optimizer = optimizer(generator.params())?;
        // A block draws its dropout from a key of its own, which recorded work would draw from again and again.
        let way = if config.generator.dropout > 0.0 { Way::Never(None) } else { Way::Steps };
        Ok(Trainer {
            config: config.clone(),
            process: config.process()?,
            discriminator_optimizer: optimizer(&all_params(&discriminator, &x0_discriminator))?,
            health: generator_optimizer.zero()?,
            generator_optimizer,
            generator,
            ema,
            discriminator,
            x0_discriminator,
            step: 0,
            way,
            kinds_done: Vec::new(),
        })
    }

    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    pub fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    /// The parameters of the discriminator, then those of the one of x_0, if there is one.
    pub fn discriminator_params(&self) -> Vec<Param> {
        all_params(&self.discriminator, &self.x0_discriminator)
    }

    /// The generator to sample from: with the averaged parameters, if they are averaged.
    pub fn averaged_generator(&self) -> &Generator {
        self.ema.as_ref().unwrap_or(&self.generator)
    }

    /// The generator's and the discriminators'.
    pub fn optimizers(&self) -> [&Optimizer; 2] {
        [&self.generator_optimizer, &self.discriminator_optimizer]
    }

    /// The number of the next step, counted from 0.
    pub fn step_number(&self) -> u64 {
        self.step
    }

    /// All that the next step draws, around its pictures [N, H, W, C] in [-1, 1].
    pub fn draw_inputs(&self, real: Tensor) -> Result<StepInputs> {
        let TrainConfig { seed, ref schedule, ref generator, .. } = self.config;
        let sizes = Draw { seed, step: self.step, num_timesteps: schedule.num_timesteps, nz: generator.nz };
        StepInputs::draw(real, &sizes)
    }

    pub(super) fn device(&self) -> Device {
        self.health.device()
    }

    /// Whether whole batches take one launch now.
    pub fn is_recorded(&self) -> bool {
        matches!(self.way, Way::Replay(_))
    }

    /// Why a GPU's steps are launched kernel by kernel for good, which costs time and nothing else. Tells it once.
    pub fn recording_failure(&mut self) -> Option<Error> {
        match &mut self.way {
            Way::Never(error) => error.take(),
            _ => None,
        }
    }

    /// From now on no step is recorded.
    pub fn step_by_step(&mut self) {
        self.way = Way::Never(None);
    }

    /// One step of both networks, at the given learning rates of the generator and of the discriminator; of a DDPM, of its
    /// only one.
    ///
    /// Errors: a loss that is not finite; the networks are as they were before the half in which it arose.
    pub fn step(&mut self, inputs: &StepInputs, learning_rates: [f64; 2]) -> Result<Losses> {
        self.launch(inputs, learning_rates)?.losses()
    }

    /// As [`Trainer::step`], but a GPU may still be at it, and tells the losses later. Where they are not finite, steps
    /// that were launched meanwhile have changed nothing.
    pub fn launch(&mut self, inputs: &StepInputs, learning_rates: [f64; 2]) -> Result<Pending> {
        let _range = trace::range(|| format!("training step {}", self.step));
        let (batch, with_r1) = (inputs.real.shape()[0], self.has_r1());
        let varying = self.prepare(inputs, learning_rates)?;
        let weights = varying.weights();
        // Whoever looks at the operations wants to see them one by one.
        let replays = !trace::is_on() && self.is_ready_to_replay(&varying, batch);
        let losses = match &mut self.way {
            Way::Replay(replay) if replays => replay.step(varying, with_r1)?,
            _ => {
                self.make_room()?;
                let losses = self.compute(&varying, with_r1)?.fetch()?;
                if batch == self.config.batch_size && !self.kinds_done.contains(&with_r1) {
                    self.kinds_done.push(with_r1);
                }
                losses
            }
        };
        if self.config.method != Method::Ddpm {
            self.discriminator_optimizer.count();
        }
        self.generator_optimizer.count();
        self.next_step();
        Ok(Pending { losses, weights, with_r1, step: self.step })
    }

    /// Whether there are steps with R1.
    pub(super) fn uses_r1(&self) -> bool {
        self.config.method != Method::Ddpm && self.config.r1_gamma > 0.0
    }

    /// Whether the next step has R1.
    pub(super) fn has_r1(&self) -> bool {
        self.uses_r1() && self.step.is_multiple_of(self.config.lazy_reg)
    }

    /// A whole step from tensors alone, so that it can be recorded. The losses as [`Pending`] reads them.
    pub(super) fn compute(&mut self, varying: &Varying, with_r1: bool) -> Result<Tensor> {
        let weights = varying.weights();
        let losses = match varying {
            Varying::Gan { parts, discriminator_update, generator_update } => {
                let of_part = |part: &GanPart| self.discriminator_terms(&part.real, &part.discriminator, with_r1);
                let (of_discriminator, gradients) = mean(parts, &weights, of_part)?;
                self.examine(&of_discriminator)?;
                let (params, scalars) = (self.discriminator_params(), [discriminator_update, &self.health]);
                self.discriminator_optimizer.update(&params, &gradients, scalars, None)?;
                drop(gradients);
                let of_part = |part: &GanPart| self.generator_terms(&part.real, &part.generator);
                let (of_generator, gradients) = mean(parts, &weights, of_part)?;
                self.examine(&of_generator)?;
                self.improve_generator(&gradients, generator_update)?;
                no_grad(|| ops::concat_channels(&of_discriminator, &of_generator))?
            }
            Varying::Ddpm { parts, update } => {
                let (losses, gradients) = mean(parts, &weights, |part: &DdpmPart| self.noise_terms(part))?;
                self.examine(&losses)?;
                self.improve_generator(&gradients, update)?;
                losses
            }
        };
        Ok(losses.into_value())
    }

    /// From here on there are no updates if one of the losses is not finite.
    fn examine(&mut self, losses: &Var) -> Result<()> {
        let health = no_grad(|| {
            // 0 times a number is 0, times infinity or NaN it is NaN.
            let nothing = ops::sum_all(&ops::affine(losses, 0.0, 0.0)?)?;
            ops::add(&Var::constant(self.health.clone()), &ops::reshape(&nothing, &[1])?)
        })?;
        self.health.assign(health.value())
    }

    /// The update of the generator and its moving average, as a recorded step makes it.
    fn improve_generator(&mut self, gradients: &Gradients, update: &Tensor) -> Result<()> {
        let ema = self.ema.as_ref().map(|ema| (ema.params(), self.config.ema_decay));
        self.generator_optimizer.update(self.generator.params(), gradients, [update, &self.health], ema)
    }

    pub fn update_discriminator(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        self.discriminator_optimizer.step(&self.discriminator_params(), gradients, lr, None)
    }

    /// Updates the generator and its moving average.
    pub fn update_generator(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        let ema = self.ema.as_ref().map(|ema| (ema.params(), self.config.ema_decay));
        self.generator_optimizer.step(self.generator.params(), gradients, lr, ema)
    }

    /// Counts a step whose parts were called one by one; [`Trainer::step`] does it by itself.
    pub fn next_step(&mut self) {
        self.step += 1;
    }
}

fn all_params(discriminator: &Discriminator, of_x0: &Option<Discriminator>) -> Vec<Param> {
    let of_x0 = of_x0.iter().flat_map(Discriminator::params);
    discriminator.params().iter().chain(of_x0).cloned().collect()
}

/// The losses of all parts of a batch in a row [1, L], part by part, and the mean of the gradients, computed one part
/// after another.
fn mean<P>(
    parts: &[P],
    weights: &[f64],
    of_part: impl Fn(&P) -> Result<(Vec<Var>, Gradients)>,
) -> Result<(Var, Gradients)> {
    let (mut all_losses, mut sum) = (Vec::new(), Gradients::new());
    for (part, &weight) in parts.iter().zip(weights) {
        let (losses, mut gradients) = of_part(part)?;
        all_losses.extend(losses);
        if parts.len() == 1 {
            sum = gradients;
            break;
        }
        for gradient in gradients.iter_mut().flatten() {
            *gradient = ops::affine(gradient, weight, 0.0)?;
        }
        if sum.is_empty() {
            sum = gradients;
        } else {
            accumulate(&mut sum, gradients)?;
        }
    }
    let mut losses = all_losses.iter().map(|loss| ops::reshape(loss, &[1, 1]));
    let first = losses.next().expect("a loss")?;
    let row = losses.try_fold(first, |row, loss| ops::concat_channels(&row, &loss?))?;
    Ok((row, sum))
}

/// Takes the loss, so that its graph is freed on the way.
pub(super) fn gradients_of(loss: Var, params: &[Param]) -> Result<Gradients> {
    let leaves: Vec<Var> = params.iter().map(Param::var).collect();
    grad(&loss, None, &leaves.iter().collect::<Vec<_>>(), Graph::Free)
}
