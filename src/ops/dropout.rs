use super::{affine, mul};
use crate::autograd::Var;
use crate::tensor::{self, Key, Tensor};
use crate::{Error, Result};

/// x with each element set to 0 with probability p and divided by 1 - p otherwise; `key` names the draw.
pub fn dropout(x: &Var, p: f64, key: Key) -> Result<Var> {
    if !(0.0..1.0).contains(&p) {
        return Err(Error::config(format!("dropout {p}: expected a probability in 0..1")));
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    let kept = tensor::uniform(x.shape(), key, x.dtype(), &x.device());
    let mask: Vec<f64> = kept.to_f64().iter().map(|&u| if u > p { 1.0 } else { 0.0 }).collect();
    let mask = Var::constant(Tensor::from_values(&mask, x.shape(), x.dtype(), &x.device()));
    affine(&mul(x, &mask)?, 1.0 / (1.0 - p), 0.0)
}
