use super::check;
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// [N, ...] with sample n multiplied by coefficient n of [N]. VJP: the same of dy.
pub fn scale_samples(x: &Var, coefficients: &Tensor) -> Result<Var> {
    let n = x.shape().first().copied().unwrap_or(0);
    check(
        "scale_samples",
        coefficients.len() == n && coefficients.dtype() == x.dtype(),
        || format!("[{n}]"),
        coefficients,
    )?;
    let y = dispatch!(x.device(), scale_samples::forward(x.storage(), coefficients.storage()))?;
    let saved = coefficients.clone();
    Ok(Var::from_op("scale_samples", Tensor::new(y, x.shape()), &[x], move |g, _| {
        Ok(vec![Some(scale_samples(g, &saved)?)])
    }))
}
