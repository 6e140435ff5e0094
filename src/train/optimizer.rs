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
    adam: Adam,
    /// Updates made so far.
    steps: u64,
    states: Vec<AdamState>,
}

impl Optimizer {
    pub fn new(params: &[Param], beta1: f64, beta2: f64) -> Result<Optimizer> {
        let zeros = |p: &Param| Tensor::zeros(p.shape(), p.value().dtype(), &p.value().device());
        let state = |p| Ok(AdamState { m: zeros(p)?, v: zeros(p)? });
        let states = params.iter().map(state).collect::<Result<_>>()?;
        let adam = Adam { beta1, beta2, eps: EPS, ema_decay: 0.0 };
        Ok(Optimizer { adam, steps: 0, states })
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
        let [of_step, health] = [self.of_next_step(lr)?, self.zero()?];
        self.update(params, gradients, [&of_step, &health], ema)?;
        self.count();
        Ok(())
    }

    /// What the learning rate and the number of the next update come to.
    pub(super) fn of_next_step(&self, lr: f64) -> Result<Tensor> {
        let like = &self.states[0].m;
        Tensor::from_values(&self.adam.of_step(lr, self.steps + 1), [2], like.dtype(), &like.device())
    }

    /// 0 beside the parameters, as [`Optimizer::update`] takes it for health.
    pub(super) fn zero(&self) -> Result<Tensor> {
        let like = &self.states[0].m;
        Tensor::zeros([1], like.dtype(), &like.device())
    }

    /// An update is made.
    pub(super) fn count(&mut self) {
        self.steps += 1;
    }

    /// The update of [`Optimizer::step`] alone, from [`Optimizer::of_next_step`]; none unless `health` is 0. It is not
    /// counted: where it is recorded, one call stands for many updates.
    pub(super) fn update(
        &mut self,
        params: &[Param],
        gradients: &Gradients,
        [of_step, health]: [&Tensor; 2],
        ema: Option<(&[Param], f64)>,
    ) -> Result<()> {
        let adam = Adam { ema_decay: ema.map_or(0.0, |(_, decay)| decay), ..self.adam };
        let is_first = self.steps == 0;
        for (i, (param, state)) in params.iter().zip(&mut self.states).enumerate() {
            let average = ema.map(|(params, _)| &params[i]);
            if let Some(gradient) = &gradients[i] {
                let gradient = gradient.value();
                let mut step = |w: &mut Tensor, ema: Option<&mut Tensor>| {
                    ops::adam_ema(w, state, ema, gradient, &adam, [of_step, health])
                };
                param.update(|w| match average {
                    Some(average) if !is_first => average.update(|ema| step(w, Some(ema))),
                    _ => step(w, None),
                })?;
            }
            if let (Some(average), true) = (average, is_first) {
                average.set(param.value().deep_clone()?)?;
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
