use super::{affine, mul};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// x^p, element by element. VJP: dx = p x^(p-1) dy.
pub fn power(x: &Var, p: f64) -> Result<Var> {
    let y = dispatch!(x.device(), power::forward(x.storage(); p))?;
    let saved = x.clone();
    Ok(Var::from_op("power", Tensor::new(y, x.shape()), &[x], move |g, _| {
        Ok(vec![Some(mul(g, &affine(&power(&saved, p - 1.0)?, p, 0.0)?)?)])
    }))
}
