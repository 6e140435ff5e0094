//! KID, the kernel Inception distance (Binkowski, Sutherland, Arbel and Gretton, ICLR 2018): the squared maximum mean
//! discrepancy with a cubic kernel. Unlike FID's its estimate has no bias, whatever the number of samples.

use nalgebra::DMatrix;
use rand::seq::index;
use rayon::prelude::*;

use super::Features;
use crate::data::rng::Philox;
use crate::error::{Error, Result};
use crate::tensor::{Key, stream};

/// Mean and standard deviation over random subsets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelDistance {
    pub mean: f64,
    pub deviation: f64,
    pub subsets: usize,
    /// Samples of each of the two sets in a subset.
    pub size: usize,
}

/// The published numbers of subsets and of samples in each.
const SUBSETS: usize = 100;
const SIZE: usize = 1000;

/// The distance over 100 random subsets of 1,000 samples, or of as many as there are.
///
/// Errors: features of different dimensions, fewer than two samples.
pub fn kernel_distance(real: &Features, generated: &Features, seed: u64) -> Result<KernelDistance> {
    check(real, generated)?;
    let size = SIZE.min(real.len()).min(generated.len());
    let distance = |subset: usize| {
        let of = |features: &Features, name| {
            let mut rng = Philox::new(Key { seed, stream: stream(name, subset as u64) });
            features.columns(index::sample(&mut rng, features.len(), size).into_iter())
        };
        between(&of(real, "kid/real"), &of(generated, "kid/generated"))
    };
    let distances: Vec<f64> = (0..SUBSETS).into_par_iter().map(distance).collect();
    let mean = distances.iter().sum::<f64>() / SUBSETS as f64;
    let variance = distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / SUBSETS as f64;
    Ok(KernelDistance { mean, deviation: variance.sqrt(), subsets: SUBSETS, size })
}

/// The unbiased estimate from all samples, which may be negative:
///
/// sum over i != j of k(x_i, x_j) / (m (m - 1)) + the same of y - 2 mean of k(x_i, y_j),   k(a, b) = (a.b / D + 1)^3
///
/// Errors: as of [`kernel_distance`].
pub fn squared_mmd(x: &Features, y: &Features) -> Result<f64> {
    check(x, y)?;
    Ok(between(&x.columns(0..x.len()), &y.columns(0..y.len())))
}

fn check(x: &Features, y: &Features) -> Result<()> {
    if x.dim() != y.dim() {
        return Err(Error::config(format!("features of {} numbers cannot be compared with {}", x.dim(), y.dim())));
    }
    match x.len().min(y.len()) {
        0 | 1 => Err(Error::config("the kernel distance takes at least 2 samples of each set")),
        _ => Ok(()),
    }
}

/// Of the columns of x and y.
fn between(x: &DMatrix<f64>, y: &DMatrix<f64>) -> f64 {
    let kernel =
        |a: &DMatrix<f64>, b: &DMatrix<f64>| (a.transpose() * b).map(|dot| (dot / a.nrows() as f64 + 1.0).powi(3));
    let within = |a: &DMatrix<f64>| {
        let (k, m) = (kernel(a, a), a.ncols() as f64);
        (k.sum() - k.trace()) / (m * (m - 1.0))
    };
    within(x) + within(y) - 2.0 * kernel(x, y).mean()
}
