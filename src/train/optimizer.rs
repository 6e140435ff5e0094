//! Adam over all parameters of a network, with the moving average of its parameters.

use crate::autograd::Var;
use crate::error::Result;
use crate::nn::Param;
use crate::ops::{self, Adam, AdamState, AdamUpdate};
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

    /// The update of [`Optimizer::step`] alone, from [`Optimizer::of_next_step`] and health; none unless that is 0. It is
    /// not counted: where it is recorded, one call stands for many updates.
    pub(super) fn update(
        &mut self,
        params: &[Param],
        gradients: &Gradients,
        scalars: [&Tensor; 2],
        ema: Option<(&[Param], f64)>,
    ) -> Result<()> {
        let adam = Adam { ema_decay: ema.map_or(0.0, |(_, decay)| decay), ..self.adam };
        let is_first = self.steps == 0;
        let averages = match ema {
            Some((averages, _)) if !is_first => averages,
            _ => &[],
        };
        // The parameters that have a gradient, then their averages.
        let of_networks = [params, averages].into_iter().flat_map(|network| network.iter().zip(gradients));
        let changed: Vec<&Param> = of_networks.filter_map(|(p, gradient)| gradient.is_some().then_some(p)).collect();
        let with_states = self.states.iter_mut().zip(gradients);
        let with_states = with_states.filter_map(|(state, gradient)| Some((state, gradient.as_ref()?.value())));
        Param::update(&changed, |values| {
            let (params, averages) = values.split_at_mut(gradients.iter().flatten().count());
            let mut averages = averages.iter_mut();
            let updates = params.iter_mut().zip(with_states);
            let updates =
                updates.map(|(param, (state, grad))| AdamUpdate { param, state, ema: averages.next(), grad }).collect();
            ops::adam_ema(updates, &adam, scalars)
        })?;
        if let (Some((averages, _)), true) = (ema, is_first) {
            for (average, param) in averages.iter().zip(params) {
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
