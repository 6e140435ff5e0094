//! One training step: the discriminator's phases and update, then the generator's.

use super::inputs::{Draw, HalfInputs, StepInputs};
use super::optimizer::{Gradients, Optimizer, accumulate};
use super::{TrainConfig, losses};
use crate::autograd::{Graph, Var, grad, no_grad};
use crate::backend::trace;
use crate::diffusion::{Generated, Method, Process};
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
    /// All of the same of the discriminator of x_0, if there is one.
    pub x0: Option<f64>,
}

/// The losses of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// A DDPM has none.
    pub discriminator: Option<DiscriminatorLosses>,
    /// Of a DDPM, the error of the predicted noise.
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
    /// A second one, of x_0.
    pub(super) x0_discriminator: Option<Discriminator>,
    pub(super) generator_optimizer: Optimizer,
    /// Of both discriminators.
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
        let discriminator = |seed| {
            Ok::<_, Error>(Discriminator::new(&config.discriminator, seed, dtype, device)?.computing_in(compute))
        };
        // Two that began alike would have less to tell.
        let x0_discriminator = (config.x0_weight > 0.0).then(|| discriminator(config.seed + 1)).transpose()?;
        let discriminator = discriminator(config.seed)?;
        let optimizer = |params: &[Param]| Optimizer::new(params, config.beta1, config.beta2);
        Ok(Trainer {
            config: config.clone(),
            process: config.process()?,
            generator_optimizer: optimizer(generator.params())?,
            discriminator_optimizer: optimizer(&all_params(&discriminator, &x0_discriminator))?,
            generator,
            ema,
            discriminator,
            x0_discriminator,
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

    /// One step of both networks, at the given learning rates of the generator and of the discriminator; of a DDPM, of its
    /// only one.
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
        if self.config.method == Method::Ddpm {
            return self.noise_step(parts, lr_g);
        }
        let of_part = |part: &StepInputs| {
            let (losses, gradients) = self.discriminator_gradients(&part.real, &part.discriminator)?;
            Ok(([Some(losses.real), Some(losses.fake), losses.r1, losses.x0], gradients))
        };
        let ([real, fake, r1, x0], gradients) = mean(parts, of_part)?;
        let discriminator = DiscriminatorLosses { real: real.expect("a loss"), fake: fake.expect("a loss"), r1, x0 };
        self.update_discriminator(&gradients, lr_d)?;
        drop(gradients);
        let of_part = |part: &StepInputs| {
            let (loss, gradients) = self.generator_gradients(&part.real, &part.generator)?;
            Ok(([Some(loss)], gradients))
        };
        let ([generator], gradients) = mean(parts, of_part)?;
        self.update_generator(&gradients, lr_g)?;
        self.next_step();
        Ok(Losses { discriminator: Some(discriminator), generator: generator.expect("a loss") })
    }

    /// The discriminator's losses on true pairs, with R1 on every `lazy_reg`-th step, and on the generator's; and the
    /// same of the one of x_0, if there is one. The gradients of [`Trainer::discriminator_params`].
    pub fn discriminator_gradients(
        &self,
        real: &Tensor,
        inputs: &HalfInputs,
    ) -> Result<(DiscriminatorLosses, Gradients)> {
        let (x_t, x_t1) = self.noisy(real, inputs)?;
        let (loss_real, r1, mut gradients) = self.true_pairs(&self.discriminator, x_t, &x_t1, &inputs.t)?;
        // The generator is not trained here: it leaves no graph.
        let made = no_grad(|| self.generate(&x_t1, inputs))?;
        let cost = self.transport_cost(&made, &x_t1)?;
        let of_made = [&made.x_t, &x_t1];
        let (fake, others) = self.generated_pairs(&self.discriminator, of_made, cost.as_ref(), &inputs.t)?;
        accumulate(&mut gradients, others)?;
        let mut losses = DiscriminatorLosses { real: loss_real, fake, r1, x0: None };
        if let (Some(network), Some(x0)) = (&self.x0_discriminator, &made.x0) {
            let (loss_real, r1, mut of_x0) = self.true_pairs(network, real.clone(), &x_t1, &inputs.t)?;
            let (fake, others) = self.generated_pairs(network, [x0, &x_t1], None, &inputs.t)?;
            accumulate(&mut of_x0, others)?;
            gradients.append(&mut of_x0);
            losses.x0 = Some(loss_real + fake + r1.unwrap_or(0.0));
        }
        Ok((losses, gradients))
    }

    /// x_t and x_{t+1} of true pictures; in place of the latter x_T, pure noise, where all is made in one step.
    fn noisy(&self, real: &Tensor, inputs: &HalfInputs) -> Result<(Tensor, Var)> {
        let (x_t, x_t1) = self.process.forward_pair(real, &inputs.t, &inputs.noise_t, &inputs.noise_t1)?;
        let from = if self.config.method == Method::OneShot { inputs.noise_t1.numbers(real)? } else { x_t1 };
        Ok((x_t, Var::constant(from)))
    }

    /// The loss of a discriminator on true x_t (or x_0), and R1 if it is due.
    fn true_pairs(
        &self,
        network: &Discriminator,
        x_t: Tensor,
        x_t1: &Var,
        t: &[usize],
    ) -> Result<(f64, Option<f64>, Gradients)> {
        let with_r1 = self.config.r1_gamma > 0.0 && self.step.is_multiple_of(self.config.lazy_reg);
        let x_t = if with_r1 { Var::leaf(x_t) } else { Var::constant(x_t) };
        let logits = self.judge(network, &x_t, x_t1, t)?;
        let mut loss = losses::real(&logits)?;
        let real = self.finite("loss_d_real", &loss)?;
        let mut r1 = None;
        if with_r1 {
            let penalty = losses::r1(&logits, &x_t, self.config.r1_gamma)?;
            r1 = Some(self.finite("loss_r1", &penalty)?);
            loss = ops::add(&loss, &penalty)?;
        }
        drop(logits);
        Ok((real, r1, gradients_of(loss, network.params())?))
    }

    /// The loss of a discriminator on x_t (or x_0) that the generator led to from x_{t+1}, at a cost if it is RDUOT's.
    fn generated_pairs(
        &self,
        network: &Discriminator,
        [x_t, x_t1]: [&Var; 2],
        cost: Option<&Var>,
        t: &[usize],
    ) -> Result<(f64, Gradients)> {
        let mut logits = self.judge(network, x_t, x_t1, t)?;
        if let Some(cost) = cost {
            logits = ops::scale_add(1.0, &logits, -1.0, cost)?;
        }
        let loss = losses::fake(&logits)?;
        drop(logits);
        let fake = self.finite("loss_d_fake", &loss)?;
        Ok((fake, gradients_of(loss, network.params())?))
    }

    /// The generator's loss. Only its own parameters get gradients.
    pub fn generator_gradients(&self, real: &Tensor, inputs: &HalfInputs) -> Result<(f64, Gradients)> {
        let (_, x_t1) = self.noisy(real, inputs)?;
        let made = self.generate(&x_t1, inputs)?;
        let loss = self.generator_loss(&made, &x_t1, real, &inputs.t)?;
        drop(made);
        let value = self.finite("loss_g", &loss)?;
        Ok((value, gradients_of(loss, self.generator.params())?))
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

    /// What the generator leads to from x_{t+1}.
    fn generate(&self, x_t1: &Var, inputs: &HalfInputs) -> Result<Generated> {
        let t = match self.config.method {
            // From pure noise, whatever the time of the picture that is judged.
            Method::OneShot => vec![self.process.num_timesteps() - 1; inputs.t.len()],
            _ => inputs.t.clone(),
        };
        let t = self.generator.times(self.process.schedule(), &t);
        let output = self.generator.forward_train(x_t1, &t, &Var::constant(inputs.z.clone()), inputs.dropout)?;
        self.process.generated(output, x_t1, &inputs.t, &inputs.noise_post)
    }

    /// Logits of a discriminator for x_t, given x_{t+1}. What is made in one step is given nothing but itself.
    pub(super) fn judge(&self, network: &Discriminator, x_t: &Var, x_t1: &Var, t: &[usize]) -> Result<Var> {
        let given = if self.config.method == Method::OneShot { x_t } else { x_t1 };
        network.forward(x_t, &Timesteps::Index(t.to_vec()), given)
    }

    pub(super) fn finite(&self, name: &str, loss: &Var) -> Result<f64> {
        let value = loss.value().item();
        if value.is_finite() {
            return Ok(value);
        }
        let what = format!("{name} is {value}: the training has diverged");
        // Counted from 1, as the statistics do.
        Err(Error::Training { step: self.step + 1, what })
    }
}

fn all_params(discriminator: &Discriminator, of_x0: &Option<Discriminator>) -> Vec<Param> {
    let of_x0 = of_x0.iter().flat_map(Discriminator::params);
    discriminator.params().iter().chain(of_x0).cloned().collect()
}

/// Means over a batch of losses and gradients that are computed of its parts, one after another.
pub(super) fn mean<const L: usize>(
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
pub(super) fn gradients_of(loss: Var, params: &[Param]) -> Result<Gradients> {
    let leaves: Vec<Var> = params.iter().map(Param::var).collect();
    grad(&loss, None, &leaves.iter().collect::<Vec<_>>(), Graph::Free)
}
