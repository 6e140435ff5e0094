//! Adam over all parameters of a network, with the moving average of its parameters.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::Param;
use crate::ops::{self, Adam, AdamState};
use crate::tensor::Tensor;

/// PyTorch's default.
const EPS: f64 = 1e-8;

/// The gradients of a network's parameters, in their order; `None` where the loss does not depend on one.
pub type Gradients = Vec<Option<Var>>;

/// Adds the gradients of another term of the same loss.
pub fn accumulate(gradients: &mut Gradients, others: Gradients) -> Result<()> {
    for (sum, other) in gradients.iter_mut().zip(others) {
        *sum = match (sum.take(), other) {
            (Some(a), Some(b)) => Some(ops::add(&a, &b)?),
            (a, b) => a.or(b),
        };
    }
    Ok(())
}

/// Adam (Kingma and Ba, 2015) as PyTorch does it: a parameter without a gradient keeps its value and its moments.
pub struct Optimizer {
    beta1: f64,
    beta2: f64,
    /// Updates made so far.
    steps: u64,
    states: Vec<AdamState>,
}

impl Optimizer {
    pub fn new(params: &[Param], beta1: f64, beta2: f64) -> Result<Optimizer> {
        let zeros = |p: &Param| Tensor::zeros(p.shape(), p.value().dtype(), &p.value().device());
        let state = |p| Ok(AdamState { m: zeros(p)?, v: zeros(p)? });
        let states = params.iter().map(state).collect::<Result<_>>()?;
        Ok(Optimizer { beta1, beta2, steps: 0, states })
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Updates `params`, which must be those the optimizer was made for, and `ema`, the same parameters of the
    /// network that holds the average, with its decay. The average starts as a copy after the first update.
    ///
    /// Errors: gradients of other shapes.
    pub fn step(
        &mut self,
        params: &[Param],
        gradients: &Gradients,
        lr: f64,
        ema: Option<(&[Param], f64)>,
    ) -> Result<()> {
        self.steps += 1;
        let ema_decay = ema.map_or(0.0, |(_, decay)| decay);
        let adam = Adam { lr, beta1: self.beta1, beta2: self.beta2, eps: EPS, step: self.steps, ema_decay };
        for (i, (param, state)) in params.iter().zip(&mut self.states).enumerate() {
            let average = ema.map(|(params, _)| &params[i]);
            if let Some(gradient) = &gradients[i] {
                let gradient = gradient.value();
                param.update(|w| match average {
                    Some(average) if self.steps > 1 => {
                        average.update(|ema| ops::adam_ema(w, state, Some(ema), gradient, &adam))
                    }
                    _ => ops::adam_ema(w, state, None, gradient, &adam),
                })?;
            }
            if let (Some(average), 1) = (average, self.steps) {
                average.set(param.value())?;
            }
        }
        Ok(())
    }

    /// The moments of each parameter, in their order.
    pub fn states(&self) -> &[AdamState] {
        &self.states
    }

    /// Continues where another optimizer of the same parameters was after `steps` updates.
    pub fn restore(&mut self, steps: u64, states: Vec<AdamState>) {
        assert_eq!(states.len(), self.states.len(), "moments for another number of parameters");
        (self.steps, self.states) = (steps, states);
    }
}
