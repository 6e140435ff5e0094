use super::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// x + y, of one shape. d/dx = d/dy = identity.
pub fn add(x: &Var, y: &Var) -> Result<Var> {
    if x.shape() != y.shape() || x.dtype() != y.dtype() {
        return Err(Error::shape("add", format!("{:?} {}", x.shape(), x.dtype()), y));
    }
    let (a, b) = (x.value(), y.value());
    let sum = dispatch!(a.device(), scale_add::forward(a.storage(), b.storage(); 1.0, 1.0))?;
    Ok(Var::from_op("add", Tensor::new(sum, x.shape()), &[x, y], |g, wanted| {
        Ok(wanted.iter().map(|&w| w.then(|| g.clone())).collect())
    }))
}
