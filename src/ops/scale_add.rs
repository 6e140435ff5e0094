use super::{affine, check_same};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// a x + b y, of one shape. VJP: dx = a dz, dy = b dz.
pub fn scale_add(a: f64, x: &Var, b: f64, y: &Var) -> Result<Var> {
    check_same("scale_add", x, y)?;
    let z = dispatch!(x.device(), scale_add::forward(x.storage(), y.storage(); a, b))?;
    Ok(Var::from_op("scale_add", Tensor::new(z, x.shape()), &[x, y], move |g, wanted| {
        let scaled = |factor: f64, wanted: bool| wanted.then(|| affine(g, factor, 0.0)).transpose();
        Ok(vec![scaled(a, wanted[0])?, scaled(b, wanted[1])?])
    }))
}
