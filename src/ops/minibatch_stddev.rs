use super::{affine, cast, concat_channels, expand_middle, mul, nhwc, power, reshape, scale_add, sum_middle};
use crate::Result;
use crate::autograd::Var;

const LARGEST_GROUP: usize = 4;

/// Appends a channel that tells how much the pictures of a group differ (minibatch standard deviation, Karras et al.,
/// 2018): x [N, H, W, C] -> [N, H, W, C + 1].
///
/// Samples i, i + M, i + 2M, ... form group i of M = N / G, with G the largest divisor of N that is at most 4. The new
/// channel is the mean over H, W, C of sqrt(variance over the group + 1e-8), one value a group. Of any order.
pub fn minibatch_stddev(x: &Var) -> Result<Var> {
    let [n, h, w, c] = nhwc("minibatch_stddev", x)?;
    let group = (1..=LARGEST_GROUP.min(n)).rev().find(|g| n % g == 0).unwrap_or(1);
    let (groups, size) = (n / group, h * w * c);
    let (narrow, x) = (x, &cast(x, x.dtype().wide())?);

    // Samples of one group lie M apart: [G, M * size] has them above one another.
    let stacked = [1, group, groups * size];
    let mean_over_group = |x: &Var| affine(&sum_middle(x, stacked)?, 1.0 / group as f64, 0.0);
    let centred = scale_add(1.0, x, -1.0, &reshape(&expand_middle(&mean_over_group(x)?, stacked)?, x.shape())?)?;
    let variance = mean_over_group(&mul(&centred, &centred)?)?;
    let stddev = power(&affine(&variance, 1.0, 1e-8)?, 0.5)?;
    let of_group = affine(&sum_middle(&stddev, [groups, size, 1])?, 1.0 / size as f64, 0.0)?;
    let of_sample = expand_middle(&of_group, [1, group, groups])?;
    let channel = reshape(&expand_middle(&of_sample, [n, h * w, 1])?, &[n, h, w, 1])?;
    concat_channels(narrow, &cast(&channel, narrow.dtype())?)
}
