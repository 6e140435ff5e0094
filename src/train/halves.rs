//! The two halves of a GAN's training step: the losses of the discriminators and of the generator, and their gradients.

use super::inputs::HalfInputs;
use super::losses;
use super::optimizer::{Gradients, accumulate};
use super::pending::{DiscriminatorLosses, finite};
use super::prepared::Half;
use super::step::{Trainer, gradients_of};
use crate::autograd::{Var, no_grad};
use crate::diffusion::{Generated, Method};
use crate::error::Result;
use crate::models::Discriminator;
use crate::ops;
use crate::tensor::Tensor;

impl Trainer {
    /// The discriminator's losses on true pairs, with R1 on every `lazy_reg`-th step, and on the generator's; and the
    /// same of the one of x_0, if there is one. The gradients of [`Trainer::discriminator_params`].
    pub fn discriminator_gradients(
        &self,
        real: &Tensor,
        inputs: &HalfInputs,
    ) -> Result<(DiscriminatorLosses, Gradients)> {
        let half = self.prepare_half(real, inputs)?;
        let (losses, gradients) = self.discriminator_terms(real, &half, self.has_r1())?;
        let values: Vec<f64> = losses.iter().map(|loss| loss.value().item()).collect();
        Ok((DiscriminatorLosses::of(&values, self.has_r1(), self.step_number() + 1)?, gradients))
    }

    /// The generator's loss. Only its own parameters get gradients.
    pub fn generator_gradients(&self, real: &Tensor, inputs: &HalfInputs) -> Result<(f64, Gradients)> {
        let half = self.prepare_half(real, inputs)?;
        let (losses, gradients) = self.generator_terms(real, &half)?;
        Ok((finite("loss_g", losses[0].value().item(), self.step_number() + 1)?, gradients))
    }

    /// The losses as [`DiscriminatorLosses::of`] takes them, and the gradients of their sum.
    pub(super) fn discriminator_terms(
        &self,
        real: &Tensor,
        half: &Half,
        with_r1: bool,
    ) -> Result<(Vec<Var>, Gradients)> {
        let (x_t, x_t1) = self.noisy(real, half)?;
        let (mut losses, mut gradients) = self.true_pairs(&self.discriminator, x_t, &x_t1, half, with_r1)?;
        // The generator is not trained here: it leaves no graph.
        let made = no_grad(|| self.generate(&x_t1, half))?;
        let cost = self.transport_cost(&made, &x_t1)?;
        let (fake, others) = self.generated_pairs(&self.discriminator, [&made.x_t, &x_t1], cost.as_ref(), half)?;
        losses.insert(1, fake);
        accumulate(&mut gradients, others)?;
        if let (Some(network), Some(x0)) = (&self.x0_discriminator, &made.x0) {
            let (mut of_x0, mut gradients_of_x0) = self.true_pairs(network, real.clone(), &x_t1, half, with_r1)?;
            let (fake, others) = self.generated_pairs(network, [x0, &x_t1], None, half)?;
            of_x0.insert(1, fake);
            accumulate(&mut gradients_of_x0, others)?;
            losses.append(&mut of_x0);
            gradients.append(&mut gradients_of_x0);
        }
        Ok((losses, gradients))
    }

    pub(super) fn generator_terms(&self, real: &Tensor, half: &Half) -> Result<(Vec<Var>, Gradients)> {
        let (_, x_t1) = self.noisy(real, half)?;
        let made = self.generate(&x_t1, half)?;
        let loss = self.generator_loss(&made, &x_t1, real, half)?;
        drop(made);
        Ok((vec![loss.detach()], gradients_of(loss, self.generator.params())?))
    }

    /// x_t and x_{t+1} of true pictures; in place of the latter x_T, pure noise, where all is made in one step.
    fn noisy(&self, real: &Tensor, half: &Half) -> Result<(Tensor, Var)> {
        let (x_t, x_t1) = ops::forward_pair(real, &half.noise_t, &half.noise_t1, &half.forward_coefficients)?;
        let from = if self.config.method == Method::OneShot { half.noise_t1.numbers(real)? } else { x_t1 };
        Ok((x_t, Var::constant(from)))
    }

    /// The loss of a discriminator on true x_t (or x_0), and R1 if it is due.
    fn true_pairs(
        &self,
        network: &Discriminator,
        x_t: Tensor,
        x_t1: &Var,
        half: &Half,
        with_r1: bool,
    ) -> Result<(Vec<Var>, Gradients)> {
        let x_t = if with_r1 { Var::leaf(x_t) } else { Var::constant(x_t) };
        let logits = self.judge(network, &x_t, x_t1, half)?;
        let mut loss = losses::real(&logits)?;
        let mut losses = vec![loss.detach()];
        if with_r1 {
            let penalty = losses::r1(&logits, &x_t, self.config.r1_gamma)?;
            losses.push(penalty.detach());
            loss = ops::add(&loss, &penalty)?;
        }
        drop(logits);
        Ok((losses, gradients_of(loss, network.params())?))
    }

    /// The loss of a discriminator on x_t (or x_0) that the generator led to from x_{t+1}, at a cost if it is RDUOT's.
    fn generated_pairs(
        &self,
        network: &Discriminator,
        [x_t, x_t1]: [&Var; 2],
        cost: Option<&Var>,
        half: &Half,
    ) -> Result<(Var, Gradients)> {
        let mut logits = self.judge(network, x_t, x_t1, half)?;
        if let Some(cost) = cost {
            logits = ops::scale_add(1.0, &logits, -1.0, cost)?;
        }
        let loss = losses::fake(&logits)?;
        drop(logits);
        Ok((loss.detach(), gradients_of(loss, network.params())?))
    }

    /// What the generator leads to from x_{t+1}.
    fn generate(&self, x_t1: &Var, half: &Half) -> Result<Generated> {
        let z = Var::constant(half.z.clone());
        let output = self.generator.forward_train(x_t1, &half.generator_times, &z, half.dropout)?;
        half.reverse.of(output, x_t1, &half.noise_post)
    }

    /// Logits of a discriminator for x_t, given x_{t+1}. What is made in one step is given nothing but itself.
    pub(super) fn judge(&self, network: &Discriminator, x_t: &Var, x_t1: &Var, half: &Half) -> Result<Var> {
        let given = if self.config.method == Method::OneShot { x_t } else { x_t1 };
        network.forward(x_t, &half.discriminator_times, given)
    }
}
