use super::{affine, expand_middle, matrix, mul, power, reshape, sum_middle};
use crate::Result;
use crate::autograd::Var;

/// z / sqrt(mean(z^2) + 1e-8) for each row of [N, Z] (Karras et al., 2018). Of any order.
pub fn pixel_norm(z: &Var) -> Result<Var> {
    let [n, width] = matrix("pixel_norm", z)?;
    let mean_square = affine(&sum_middle(&mul(z, z)?, [n, width, 1])?, 1.0 / width as f64, 1e-8)?;
    let inverse = expand_middle(&power(&mean_square, -0.5)?, [n, width, 1])?;
    mul(z, &reshape(&inverse, &[n, width])?)
}
