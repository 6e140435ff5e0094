use super::check;
use crate::Result;
use crate::backend::dispatch;
pub use crate::backend::params::Adam;
use crate::tensor::Tensor;

/// What Adam remembers of one parameter.
pub struct AdamState {
    /// First moment.
    pub m: Tensor,
    /// Second moment.
    pub v: Tensor,
}

/// One parameter, what changes with it, and its gradient.
pub struct AdamUpdate<'a> {
    pub param: &'a mut Tensor,
    pub state: &'a mut AdamState,
    /// The parameter's moving average, if there is one.
    pub ema: Option<&'a mut Tensor>,
    pub grad: &'a Tensor,
}

/// One step of Adam (Kingma and Ba, 2015, in the form that PyTorch computes) in place, and of the moving averages; of
/// all parameters at once, each by itself:
///
/// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// w = w - lr / (1 - beta1^step) m / (sqrt(v / (1 - beta2^step)) + eps), ema = decay ema + (1 - decay) w.
///
/// `of_step` [2] holds [`Adam::of_step`]. Nothing changes unless `health` [1] is 0.
pub fn adam_ema(updates: Vec<AdamUpdate>, p: &Adam, [of_step, health]: [&Tensor; 2]) -> Result<()> {
    let Some(AdamUpdate { param, .. }) = updates.first() else { return Ok(()) };
    let (device, dtype) = (param.device(), param.dtype());
    for (scalars, len) in [(of_step, 2), (health, 1)] {
        let fits = scalars.len() == len && scalars.dtype() == dtype;
        check("adam", fits, || format!("[{len}] {dtype}"), scalars)?;
    }
    for AdamUpdate { param, state, ema, grad } in &updates {
        for tensor in [&**param, &state.m, &state.v, *grad].into_iter().chain(ema.as_deref()) {
            let same = tensor.shape() == param.shape() && tensor.dtype() == dtype;
            check("adam", same, || format!("{:?} {dtype}", param.shape()), tensor)?;
        }
    }
    let (mut params, mut m, mut v, mut averages, mut grads) = (vec![], vec![], vec![], vec![], vec![]);
    for AdamUpdate { param, state, ema, grad } in updates {
        params.push(param.storage_mut()?);
        m.push(state.m.storage_mut()?);
        v.push(state.v.storage_mut()?);
        averages.push(ema.map(Tensor::storage_mut).transpose()?);
        grads.push(grad.storage());
    }
    dispatch!(device, adam::step(params, m, v, averages, grads, of_step.storage(), health.storage(); p))
}
