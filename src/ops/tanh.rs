use super::{affine, mul};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// tanh(x), element by element. VJP: dx = (1 - tanh(x)^2) dy.
pub fn tanh(x: &Var) -> Result<Var> {
    let y = dispatch!(x.device(), tanh::forward(x.storage()))?;
    let saved = x.clone();
    Ok(Var::from_op("tanh", Tensor::new(y, x.shape()), &[x], move |g, _| {
        let y = tanh(&saved)?;
        Ok(vec![Some(mul(g, &affine(&mul(&y, &y)?, -1.0, 1.0)?)?)])
    }))
}
