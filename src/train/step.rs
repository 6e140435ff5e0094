//! One training step: the discriminator's phases and update, then the generator's.

use super::inputs::{Draw, HalfInputs, StepInputs};
use super::optimizer::{Gradients, Optimizer, accumulate};
use super::{TrainConfig, losses};
use crate::autograd::{Graph, Var, grad, no_grad};
use crate::backend::trace;
use crate::diffusion::Process;
use crate::error::{Error, Result};
use crate::models::{Discriminator, Generator};
use crate::nn::{Param, Timesteps};
use crate::ops;
use crate::tensor::{DType, Device, Precision, Tensor};

/// The losses of the discriminator's half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiscriminatorLosses {
    pub real: f64,
    pub fake: f64,
    /// gamma / 2 E |dD/dx_t|^2, on the steps that have it.
    pub r1: Option<f64>,
}

/// The losses of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    pub discriminator: DiscriminatorLosses,
    pub generator: f64,
}

/// The networks with what trains them.
pub struct Trainer {
    pub(super) config: TrainConfig,
    process: Process,
    pub(super) generator: Generator,
    /// The generator with the moving average of the parameters.
    pub(super) ema: Option<Generator>,
    pub(super) discriminator: Discriminator,
    pub(super) generator_optimizer: Optimizer,
    pub(super) discriminator_optimizer: Optimizer,
    /// The number of the next step, counted from 0.
    pub(super) step: u64,
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
        let discriminator =
            Discriminator::new(&config.discriminator, config.seed, dtype, device)?.computing_in(compute);
        let optimizer = |params: &[Param]| Optimizer::new(params, config.beta1, config.beta2);
        Ok(Trainer {
            config: config.clone(),
            process: Process::new(&config.schedule)?,
            generator_optimizer: optimizer(generator.params())?,
            discriminator_optimizer: optimizer(discriminator.params())?,
            generator,
            ema,
            discriminator,
            step: 0,
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

    /// The generator to sample from: with the averaged parameters, if they are averaged.
    pub fn averaged_generator(&self) -> &Generator {
        self.ema.as_ref().unwrap_or(&self.generator)
    }

    /// The generator's and the discriminator's.
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

    /// One step of both networks, at the given learning rates of the generator and of the discriminator.
    ///
    /// Errors: a loss that is not finite; the networks are as they were before the half in which it arose.
    pub fn step(&mut self, inputs: &StepInputs, [lr_g, lr_d]: [f64; 2]) -> Result<Losses> {
        let _range = trace::range(|| format!("training step {}", self.step));
        let parts;
        let parts = match self.config.grad_accum {
            1 => std::slice::from_ref(inputs),
            count => {
                parts = inputs.parts(count)?;
                &parts[..]
            }
        };
        let of_part = |part: &StepInputs| {
            let (losses, gradients) = self.discriminator_gradients(&part.real, &part.discriminator)?;
            Ok(([Some(losses.real), Some(losses.fake), losses.r1], gradients))
        };
        let ([real, fake, r1], gradients) = mean(parts, of_part)?;
        let discriminator = DiscriminatorLosses { real: real.expect("a loss"), fake: fake.expect("a loss"), r1 };
        self.update_discriminator(&gradients, lr_d)?;
        drop(gradients);
        let of_part = |part: &StepInputs| {
            let (loss, gradients) = self.generator_gradients(&part.real, &part.generator)?;
            Ok(([Some(loss)], gradients))
        };
        let ([generator], gradients) = mean(parts, of_part)?;
        self.update_generator(&gradients, lr_g)?;
        self.next_step();
        Ok(Losses { discriminator, generator: generator.expect("a loss") })
    }

    /// The discriminator's losses on true pairs, with R1 on every `lazy_reg`-th step, and on the generator's.
    pub fn discriminator_gradients(
        &self,
        real: &Tensor,
        inputs: &HalfInputs,
    ) -> Result<(DiscriminatorLosses, Gradients)> {
        let (x_t, x_t1) = self.process.forward_pair(real, &inputs.t, &inputs.noise_t, &inputs.noise_t1)?;
        let x_t1 = Var::constant(x_t1);
        let (real, r1, mut gradients) = self.true_pairs(x_t, &x_t1, &inputs.t)?;
        let (fake, others) = self.generated_pairs(&x_t1, inputs)?;
        accumulate(&mut gradients, others)?;
        Ok((DiscriminatorLosses { real, fake, r1 }, gradients))
    }

    fn true_pairs(&self, x_t: Tensor, x_t1: &Var, t: &[usize]) -> Result<(f64, Option<f64>, Gradients)> {
        let with_r1 = self.config.r1_gamma > 0.0 && self.step.is_multiple_of(self.config.lazy_reg);
        let x_t = if with_r1 { Var::leaf(x_t) } else { Var::constant(x_t) };
        let logits = self.judge(&x_t, x_t1, t)?;
        let mut loss = losses::real(&logits)?;
        let real = self.finite("loss_d_real", &loss)?;
        let mut r1 = None;
        if with_r1 {
            let penalty = losses::r1(&logits, &x_t, self.config.r1_gamma)?;
            r1 = Some(self.finite("loss_r1", &penalty)?);
            loss = ops::add(&loss, &penalty)?;
        }
        drop(logits);
        Ok((real, r1, gradients_of(loss, self.discriminator.params())?))
    }

    fn generated_pairs(&self, x_t1: &Var, inputs: &HalfInputs) -> Result<(f64, Gradients)> {
        // The generator is not trained here: it leaves no graph.
        let x_t = no_grad(|| self.generate(x_t1, inputs))?;
        let loss = losses::fake(&self.judge(&x_t, x_t1, &inputs.t)?)?;
        let fake = self.finite("loss_d_fake", &loss)?;
        Ok((fake, gradients_of(loss, self.discriminator.params())?))
    }

    /// The generator's loss. Only its own parameters get gradients.
    pub fn generator_gradients(&self, real: &Tensor, inputs: &HalfInputs) -> Result<(f64, Gradients)> {
        let (_, x_t1) = self.process.forward_pair(real, &inputs.t, &inputs.noise_t, &inputs.noise_t1)?;
        let x_t1 = Var::constant(x_t1);
        let x_t = self.generate(&x_t1, inputs)?;
        let loss = losses::generator(&self.judge(&x_t, &x_t1, &inputs.t)?)?;
        drop(x_t);
        let value = self.finite("loss_g", &loss)?;
        Ok((value, gradients_of(loss, self.generator.params())?))
    }

    pub fn update_discriminator(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        self.discriminator_optimizer.step(self.discriminator.params(), gradients, lr, None)
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

    /// x_t from the posterior of the x_0 that the generator predicts.
    fn generate(&self, x_t1: &Var, inputs: &HalfInputs) -> Result<Var> {
        let t = self.generator.times(self.process.schedule(), &inputs.t);
        let x0 = self.generator.forward_train(x_t1, &t, &Var::constant(inputs.z.clone()), inputs.dropout)?;
        self.process.posterior_step(&x0, x_t1, &inputs.t, &inputs.noise_post)
    }

    fn judge(&self, x_t: &Var, x_t1: &Var, t: &[usize]) -> Result<Var> {
        self.discriminator.forward(x_t, &Timesteps::Index(t.to_vec()), x_t1)
    }

    fn finite(&self, name: &str, loss: &Var) -> Result<f64> {
        let value = loss.value().item();
        if value.is_finite() {
            return Ok(value);
        }
        let what = format!("{name} is {value}: the training has diverged");
        // Counted from 1, as the statistics do.
        Err(Error::Training { step: self.step + 1, what })
    }
}

/// Means over a batch of losses and gradients that are computed of its parts, one after another.
fn mean<const L: usize>(
    parts: &[StepInputs],
    of_part: impl Fn(&StepInputs) -> Result<([Option<f64>; L], Gradients)>,
) -> Result<([Option<f64>; L], Gradients)> {
    if let [whole] = parts {
        return of_part(whole);
    }
    let pictures = |part: &StepInputs| part.real.shape()[0] as f64;
    let all: f64 = parts.iter().map(pictures).sum();
    let (mut means, mut sum) = ([None; L], Gradients::new());
    for part in parts {
        let weight = pictures(part) / all;
        let (losses, mut gradients) = of_part(part)?;
        for (mean, loss) in means.iter_mut().zip(losses) {
            *mean = loss.map(|loss| mean.unwrap_or(0.0) + weight * loss);
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
    Ok((means, sum))
}

/// Takes the loss, so that its graph is freed on the way.
fn gradients_of(loss: Var, params: &[Param]) -> Result<Gradients> {
    let leaves: Vec<Var> = params.iter().map(Param::var).collect();
    grad(&loss, None, &leaves.iter().collect::<Vec<_>>(), Graph::Free)
}
