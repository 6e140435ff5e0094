use super::{affine, check, nhwc, reshape};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;

/// x, seen as [outer, middle, inner], summed over its middle axis: [outer, inner]. VJP: [`expand_middle`].
pub fn sum_middle(x: &Var, sizes: [usize; 3]) -> Result<Var> {
    check("sum_middle", x.value().len() == sizes.iter().product::<usize>(), || format!("{sizes:?}"), x)?;
    let y = dispatch!(x.device(), sum::sum_middle(x.storage(); sizes))?;
    let shape = x.shape().to_vec();
    Ok(Var::from_op("sum_middle", Tensor::new(y, [sizes[0], sizes[2]]), &[x], move |g, _| {
        Ok(vec![Some(reshape(&expand_middle(g, sizes)?, &shape)?)])
    }))
}

/// x, seen as [outer, inner], copied along a new middle axis: [outer, middle, inner]. VJP: [`sum_middle`].
pub fn expand_middle(x: &Var, sizes: [usize; 3]) -> Result<Var> {
    check("expand_middle", x.value().len() == sizes[0] * sizes[2], || format!("{} x {}", sizes[0], sizes[2]), x)?;
    let y = dispatch!(x.device(), sum::expand_middle(x.storage(); sizes))?;
    let shape = x.shape().to_vec();
    Ok(Var::from_op("expand_middle", Tensor::new(y, sizes), &[x], move |g, _| {
        Ok(vec![Some(reshape(&sum_middle(g, sizes)?, &shape)?)])
    }))
}

/// The sum of all elements, a scalar.
pub fn sum_all(x: &Var) -> Result<Var> {
    reshape(&sum_middle(x, [1, x.value().len(), 1])?, &[])
}

/// The mean of all elements, a scalar.
pub fn mean_all(x: &Var) -> Result<Var> {
    affine(&sum_all(x)?, 1.0 / x.value().len() as f64, 0.0)
}

/// [N, ...] -> [N].
pub fn sum_per_sample(x: &Var) -> Result<Var> {
    let n = x.shape().first().copied().unwrap_or(1);
    reshape(&sum_middle(x, [n, x.value().len() / n, 1])?, &[n])
}

/// [N, H, W, C] -> [N, C].
pub fn sum_spatial(x: &Var) -> Result<Var> {
    let [n, h, w, c] = nhwc("sum_spatial", x)?;
    sum_middle(x, [n, h * w, c])
}
