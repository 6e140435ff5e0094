use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::{Key, Tensor};
use crate::{Error, Result};

/// x with each element set to 0 with probability p and divided by 1 - p otherwise (Srivastava et al., 2014); `key`
/// names the draw. VJP: the same of dy.
pub fn dropout(x: &Var, p: f64, key: Key) -> Result<Var> {
    if !(0.0..1.0).contains(&p) {
        return Err(Error::config(format!("dropout {p}: expected a probability from 0 to below 1")));
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    let y = dispatch!(x.device(), dropout::forward(x.storage(); p, key))?;
    Ok(Var::from_op("dropout", Tensor::new(y, x.shape()), &[x], move |g, _| Ok(vec![Some(dropout(g, p, key)?)])))
}
