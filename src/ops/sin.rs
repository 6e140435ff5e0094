use std::f64::consts::FRAC_PI_2;

use super::{affine, mul};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// sin(x), element by element, x in radians. VJP: dx = cos(x) dy = sin(x + pi/2) dy.
pub fn sin(x: &Var) -> Result<Var> {
    let y = dispatch!(x.device(), sin::forward(x.storage()))?;
    let saved = x.clone();
    Ok(Var::from_op("sin", Tensor::new(y, x.shape()), &[x], move |g, _| {
        Ok(vec![Some(mul(g, &sin(&affine(&saved, 1.0, FRAC_PI_2)?)?)?)])
    }))
}
