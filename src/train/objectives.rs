//! What the generator is asked for, published or not, and which of it goes together.

use super::losses::{self, Loss};
use super::prepared::Half;
use super::{TrainConfig, Trainer};
use crate::autograd::Var;
use crate::diffusion::{Generated, Method, Prediction};
use crate::error::{Error, Result};
use crate::ops;
use crate::tensor::Tensor;

impl TrainConfig {
    /// Errors: an objective that the method or the prediction has no use for.
    pub(super) fn check_objectives(&self) -> Result<()> {
        let TrainConfig { method, prediction, loss, x0_weight, l1_weight, .. } = *self;
        if prediction != Prediction::X0 && !self.generator.not_use_tanh {
            let expected = format!("true: with prediction {prediction} the output has no bounds");
            return Err(Error::setting("generator.not_use_tanh", false, expected));
        }
        let why = match (method, prediction) {
            (Method::Ddpm, _) => "a DDPM has a loss of its own",
            (Method::OneShot, _) => "what is made in one step belongs to no true x_0",
            (Method::Ddgan, Prediction::Previous) => "it takes a predicted x_0, which prediction previous has not",
            (Method::Ddgan, _) => return Ok(()),
        };
        if loss != Loss::NonSaturating {
            return Err(Error::setting("loss", "rduot", format_args!("non_saturating: {why}")));
        }
        for (key, weight) in [("x0_weight", x0_weight), ("l1_weight", l1_weight)] {
            if weight > 0.0 {
                return Err(Error::setting(key, weight, format_args!("0: {why}")));
            }
        }
        Ok(())
    }
}

impl Trainer {
    /// What the generator is to make small, of what it led to from x_{t+1}, which was made of `real`.
    pub(super) fn generator_loss(&self, made: &Generated, x_t1: &Var, real: &Tensor, half: &Half) -> Result<Var> {
        let TrainConfig { x0_weight, l1_weight, .. } = self.config;
        let logits = self.judge(&self.discriminator, &made.x_t, x_t1, half)?;
        let mut loss = match self.transport_cost(made, x_t1)? {
            None => losses::generator(&logits)?,
            Some(cost) => losses::transport(&logits, &cost)?,
        };
        let Some(x0) = &made.x0 else { return Ok(loss) };
        if let Some(network) = &self.x0_discriminator {
            let of_x0 = losses::generator(&self.judge(network, x0, x_t1, half)?)?;
            loss = ops::scale_add(1.0, &loss, x0_weight, &of_x0)?;
        }
        if l1_weight > 0.0 {
            loss = ops::scale_add(1.0, &loss, l1_weight, &losses::l1(x0, &Var::constant(real.clone()))?)?;
        }
        Ok(loss)
    }

    /// RDUOT's cost of each sample, [N, 1]; `None` with another loss.
    pub(super) fn transport_cost(&self, made: &Generated, x_t1: &Var) -> Result<Option<Var>> {
        match (self.config.loss, &made.x0) {
            (Loss::Rduot, Some(x0)) => losses::transport_cost(x_t1, x0, self.config.uot_tau).map(Some),
            _ => Ok(None),
        }
    }
}
