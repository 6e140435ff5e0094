use super::{affine, mul};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// log(1 + e^x), element by element. VJP: dx = sigmoid(x) dy.
pub fn softplus(x: &Var) -> Result<Var> {
    let y = dispatch!(x.device(), softplus::forward(x.storage()))?;
    let saved = x.clone();
    Ok(Var::from_op("softplus", Tensor::new(y, x.shape()), &[x], move |g, _| {
        Ok(vec![Some(mul(g, &sigmoid(&saved)?)?)])
    }))
}

/// s = 1 / (1 + e^-x), element by element. VJP: dx = s (1 - s) dy.
pub fn sigmoid(x: &Var) -> Result<Var> {
    let y = dispatch!(x.device(), softplus::sigmoid(x.storage()))?;
    let saved = x.clone();
    Ok(Var::from_op("sigmoid", Tensor::new(y, x.shape()), &[x], move |g, _| {
        let s = sigmoid(&saved)?;
        Ok(vec![Some(mul(g, &mul(&s, &affine(&s, -1.0, 1.0)?)?)?)])
    }))
}
