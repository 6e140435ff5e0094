use super::without_derivative;
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// x sigmoid(x), element by element (Hendrycks and Gimpel 2016). First derivative only.
pub fn silu(x: &Var) -> Result<Var> {
    let y = dispatch!(x.device(), silu::forward(x.storage()))?;
    let saved = x.clone();
    Ok(Var::from_op("silu", Tensor::new(y, x.shape()), &[x], move |g, _| {
        let dx = dispatch!(g.device(), silu::backward(saved.storage(), g.storage()))?;
        Ok(vec![Some(without_derivative("silu", Tensor::new(dx, g.shape()), &[&saved, g]))])
    }))
}
