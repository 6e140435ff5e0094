//! The Frechet distance of two normal distributions, which of Inception's features is FID (Heusel et al., 2017).

use nalgebra::{DMatrix, DVector};

use super::Features;
use crate::error::{Error, Result};

/// Mean and scatter of feature vectors, added batch by batch: merging batches about their own means (Chan, Golub and
/// LeVeque, 1979) loses no digits where the mean is large beside the deviation.
#[derive(Clone, Debug)]
pub struct Moments {
    count: u64,
    mean: DVector<f64>,
    /// The sum of (x - mean) (x - mean)^T.
    scatter: DMatrix<f64>,
}

impl Moments {
    pub fn new(dim: usize) -> Moments {
        Moments { count: 0, mean: DVector::zeros(dim), scatter: DMatrix::zeros(dim, dim) }
    }

    pub fn of(features: &Features) -> Moments {
        let mut moments = Moments::new(features.dim());
        moments.add(features);
        moments
    }

    /// Adds samples of the same dimension.
    pub fn add(&mut self, features: &Features) {
        if features.is_empty() {
            return;
        }
        let mut batch = features.columns(0..features.len());
        let mean = batch.column_mean();
        batch.column_iter_mut().for_each(|mut sample| sample -= &mean);
        self.scatter.gemm(1.0, &batch, &batch.transpose(), 1.0);
        let (before, added) = (self.count as f64, features.len() as f64);
        let (total, difference) = (before + added, mean - &self.mean);
        self.scatter.ger(before * added / total, &difference, &difference, 1.0);
        self.mean.axpy(added / total, &difference, 1.0);
        self.count += features.len() as u64;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The normal distribution with this mean and the unbiased covariance.
    ///
    /// Errors: fewer than two samples, numbers that are not finite.
    pub fn gaussian(&self) -> Result<Gaussian> {
        if self.count < 2 {
            let what = format!("a covariance takes at least 2 samples, there are {}", self.count);
            return Err(Error::config(what));
        }
        Gaussian::new(self.mean.clone(), &self.scatter / (self.count - 1) as f64)
    }
}

/// A normal distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl Gaussian {
    /// Errors: sizes that do not belong together, numbers that are not finite, a matrix that is not symmetric.
    pub fn new(mean: DVector<f64>, covariance: DMatrix<f64>) -> Result<Gaussian> {
        let (n, shape) = (mean.len(), covariance.shape());
        if shape != (n, n) || n == 0 {
            let what = format!("a mean of {n} numbers does not belong to a covariance of {}x{}", shape.0, shape.1);
            return Err(Error::config(what));
        }
        if !mean.iter().chain(covariance.iter()).all(|x| x.is_finite()) {
            return Err(Error::config("a mean or a covariance has numbers that are not finite"));
        }
        if (&covariance - covariance.transpose()).amax() > 1e-6 * covariance.amax() {
            return Err(Error::config("a covariance is not symmetric"));
        }
        Ok(Gaussian { mean, covariance })
    }

    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    pub fn mean(&self) -> &DVector<f64> {
        &self.mean
    }

    pub fn covariance(&self) -> &DMatrix<f64> {
        &self.covariance
    }
}

/// d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))   (Dowson and Landau, 1982)
///
/// With S1 = F F^T, the eigenvalues of S1 S2 other than 0 are those of F^T S2 F, which is symmetric and has none below 0.
/// So the root needs no complex numbers, and singular covariances, as of fewer samples than features, no small number on
/// their diagonals; what rounding makes negative counts as 0.
///
/// Errors: distributions of different dimensions.
pub fn frechet_distance(a: &Gaussian, b: &Gaussian) -> Result<f64> {
    if a.dim() != b.dim() {
        let what = format!("statistics of {} features cannot be compared with those of {}", a.dim(), b.dim());
        return Err(Error::config(what));
    }
    let factor = factor(&a.covariance);
    let product = factor.transpose() * (&b.covariance * &factor);
    // Without the rounding errors that make its halves differ.
    let product = (&product + product.transpose()) / 2.0;
    let trace_of_root: f64 = match factor.ncols() {
        // All samples are the same.
        0 => 0.0,
        _ => product.symmetric_eigenvalues().iter().map(|x| x.max(0.0).sqrt()).sum(),
    };
    let means = (&a.mean - &b.mean).norm_squared();
    Ok((means + a.covariance.trace() + b.covariance.trace() - 2.0 * trace_of_root).max(0.0))
}

/// F [D, R] of a positive semidefinite matrix F F^T of rank R: Cholesky's, with the largest of what is left of the
/// diagonal as the next pivot, until nothing but rounding errors is left.
fn factor(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let n = matrix.nrows();
    let mut left = matrix.diagonal();
    let least = n as f64 * f64::EPSILON * left.max();
    let mut factor = DMatrix::zeros(n, n);
    for rank in 0..n {
        let (pivot, size) = left.argmax();
        if size <= least {
            return factor.remove_columns(rank, n - rank);
        }
        let (done, mut rest) = factor.columns_range_pair_mut(..rank, rank..);
        let mut column = rest.column_mut(0);
        column.copy_from(&matrix.column(pivot));
        column.gemv(-1.0, &done, &done.row(pivot).transpose(), 1.0);
        column /= size.sqrt();
        left.zip_apply(&column, |left, x| *left -= x * x);
        // Used up, whatever rounding left.
        left[pivot] = 0.0;
    }
    factor
}
