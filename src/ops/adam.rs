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

/// One step of Adam (Kingma and Ba, 2015, in the form that PyTorch computes) in place, and of the moving average:
///
/// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// w = w - lr / (1 - beta1^step) m / (sqrt(v / (1 - beta2^step)) + eps), ema = decay ema + (1 - decay) w.
///
/// `of_step` [2] holds [`Adam::of_step`]. Nothing changes unless `health` [1] is 0.
pub fn adam_ema(
    param: &mut Tensor,
    state: &mut AdamState,
    ema: Option<&mut Tensor>,
    grad: &Tensor,
    p: &Adam,
    [of_step, health]: [&Tensor; 2],
) -> Result<()> {
    let others = [&state.m, &state.v, grad].into_iter().chain(ema.as_deref());
    for other in others {
        let same = other.shape() == param.shape() && other.dtype() == param.dtype();
        check("adam", same, || format!("{param:?}"), other)?;
    }
    for (scalars, len) in [(of_step, 2), (health, 1)] {
        let fits = scalars.len() == len && scalars.dtype() == param.dtype();
        check("adam", fits, || format!("[{len}] {}", param.dtype()), scalars)?;
    }
    dispatch!(param.device(), adam::step(
        param.storage_mut()?, state.m.storage_mut()?, state.v.storage_mut()?, ema.map(Tensor::storage_mut).transpose()?,
        grad.storage(), of_step.storage(), health.storage(); p
    ))?;
    Ok(())
}
