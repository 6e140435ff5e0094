use super::check_same;
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// x y, element by element, of one shape. VJP: dx = y dz, dy = x dz.
pub fn mul(x: &Var, y: &Var) -> Result<Var> {
    check_same("mul", x, y)?;
    let z = dispatch!(x.device(), mul::forward(x.storage(), y.storage()))?;
    let (a, b) = (x.clone(), y.clone());
    Ok(Var::from_op("mul", Tensor::new(z, x.shape()), &[x, y], move |g, wanted| {
        Ok(vec![wanted[0].then(|| mul(g, &b)).transpose()?, wanted[1].then(|| mul(g, &a)).transpose()?])
    }))
}
