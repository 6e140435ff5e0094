use super::{check, matrix, reshape, sum_middle, without_derivative};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::backend::params::GroupNorm;
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug)]
pub struct GroupNormOptions {
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Group norm (Wu and He, 2018) of x [N, ..., C] with a scale and shift [C], or [N, C] where they depend on the
/// sample (adaptive group norm), followed by SiLU if wanted, in one pass:
///
/// y = silu(scale xhat + shift), xhat = (x - mean) / sqrt(var + eps), with the biased mean and variance of each group
/// of C / groups channels of each sample. First derivative only.
pub fn group_norm(x: &Var, scale: &Var, shift: &Var, options: &GroupNormOptions) -> Result<Var> {
    let (n, c) = (x.shape().first().copied().unwrap_or(0), x.shape().last().copied().unwrap_or(0));
    let groups = options.groups;
    check("group_norm", groups > 0 && c > 0 && c % groups == 0, || format!("channels in {groups} groups"), x)?;
    let per_sample = scale.shape().len() == 2;
    let shape: &[usize] = if per_sample { &[n, c] } else { &[c] };
    check("group_norm", scale.shape() == shape && scale.dtype() == x.dtype(), || format!("a scale {shape:?}"), scale)?;
    check("group_norm", shift.shape() == shape && shift.dtype() == x.dtype(), || format!("a shift {shape:?}"), shift)?;
    let hw = x.value().len() / (n * c);
    let p = GroupNorm { n, hw, c, groups, eps: options.eps, per_sample, silu: options.silu };
    let (y, stats) = dispatch!(x.device(), group_norm::forward(x.storage(), scale.storage(), shift.storage(); &p))?;
    let stats = Tensor::new(stats, [n, groups, 2]);
    let saved = [x.clone(), scale.clone(), shift.clone()];
    Ok(Var::from_op("group_norm", Tensor::new(y, x.shape()), &[x, scale, shift], move |dy, wanted| {
        let [x, scale, shift] = &saved;
        let (dx, dscale, dshift) = dispatch!(dy.device(), group_norm::backward(
            x.storage(), scale.storage(), shift.storage(), stats.storage(), dy.storage(); &p
        ))?;
        let inputs = [x, scale, shift, dy];
        let of_samples = |d| without_derivative("group_norm", Tensor::new(d, [n, c]), &inputs);
        let of_scale_or_shift = |d| -> Result<Var> {
            let d: Var = of_samples(d);
            if per_sample { Ok(d) } else { sum_over_samples(&d) }
        };
        Ok(vec![
            wanted[0].then(|| without_derivative("group_norm", Tensor::new(dx, x.shape()), &inputs)),
            wanted[1].then(|| of_scale_or_shift(dscale)).transpose()?,
            wanted[2].then(|| of_scale_or_shift(dshift)).transpose()?,
        ])
    }))
}

/// [N, C] -> [C].
fn sum_over_samples(x: &Var) -> Result<Var> {
    let [n, c] = matrix("group_norm", x)?;
    reshape(&sum_middle(x, [1, n, c])?, &[c])
}
