//! Quality apart from variety, by balls about samples that reach to their k-th nearest neighbour in feature space:
//! improved precision and recall (Kynkäänniemi et al., NeurIPS 2019, k = 3), and density and coverage (Naeem et al.,
//! ICML 2020, k = 5), which single outliers mislead less.

use nalgebra::DVectorView;
use rayon::prelude::*;

use super::Features;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbours {
    /// The share of generated samples in a ball of a real one.
    pub precision: f64,
    /// The share of real samples in a ball of a generated one.
    pub recall: f64,
    /// In how many balls of real samples a generated one is, over k; it may exceed 1.
    pub density: f64,
    /// The share of real samples whose ball has a generated one in it.
    pub coverage: f64,
}

/// The k of precision and recall, and of density and coverage.
const K_RECALL: usize = 3;
const K_COVERAGE: usize = 5;

/// Time grows with N^2 D; memory does not.
///
/// Errors: features of different dimensions, too few samples for the balls.
pub fn neighbours(real: &Features, generated: &Features) -> Result<Neighbours> {
    if real.dim() != generated.dim() {
        let what = format!("features of {} numbers cannot be compared with {}", real.dim(), generated.dim());
        return Err(Error::config(what));
    }
    let fewest = real.len().min(generated.len());
    if fewest <= K_COVERAGE {
        let what = format!("precision, recall, density and coverage take more than {K_COVERAGE} samples of each set");
        return Err(Error::config(format!("{what}, there are {fewest}")));
    }
    let radii = |features: &Features| {
        by_sample(features, features, |own, distances| {
            let mut others = distances.to_vec();
            others.swap_remove(own);
            let (nearer, &mut fifth, _) = others.select_nth_unstable_by(K_COVERAGE - 1, f64::total_cmp);
            [*nearer.select_nth_unstable_by(K_RECALL - 1, f64::total_cmp).1, fifth]
        })
    };
    let (real_radii, generated_radii) = (radii(real), radii(generated));
    // The published definitions: a sample on the ball's surface is inside for the one pair, outside for the other.
    let of_generated = by_sample(generated, real, |_, distances| {
        let inside = distances.iter().zip(&real_radii);
        let covered = inside.clone().any(|(d, [third, _])| d <= third);
        (covered, inside.filter(|(d, [_, fifth])| *d < fifth).count())
    });
    let of_real = by_sample(real, generated, |own, distances| {
        let covered = distances.iter().zip(&generated_radii).any(|(d, [third, _])| d <= third);
        (covered, distances.iter().any(|d| *d < real_radii[own][1]))
    });
    let share = |count: usize, of: usize| count as f64 / of as f64;
    let balls: usize = of_generated.iter().map(|(_, balls)| balls).sum();
    Ok(Neighbours {
        precision: share(of_generated.iter().filter(|(inside, _)| *inside).count(), generated.len()),
        recall: share(of_real.iter().filter(|(inside, _)| *inside).count(), real.len()),
        density: share(balls, K_COVERAGE * generated.len()),
        coverage: share(of_real.iter().filter(|(_, covered)| *covered).count(), real.len()),
    })
}

/// What `visit` makes of each sample's number and its squared distances to all of `others`.
fn by_sample<T: Send>(samples: &Features, others: &Features, visit: impl Fn(usize, &[f64]) -> T + Sync) -> Vec<T> {
    /// Samples at once: enough to be computed as a product of matrices.
    const BLOCK: usize = 64;
    let others = others.columns(0..others.len());
    let norms: Vec<f64> = others.column_iter().map(|other| other.norm_squared()).collect();
    let others = others.transpose();
    let blocks = (0..samples.len()).into_par_iter().step_by(BLOCK);
    let visited = blocks.flat_map_iter(|first| {
        let block = samples.columns(first..samples.len().min(first + BLOCK));
        // |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, column by column.
        let mut distances = &others * &block;
        let columns = distances.as_mut_slice().chunks_exact_mut(norms.len());
        let of = |((number, column), sample): ((usize, &mut [f64]), DVectorView<f64>)| {
            let norm = sample.norm_squared();
            column.iter_mut().zip(&norms).for_each(|(d, other)| *d = (norm + other - 2.0 * *d).max(0.0));
            visit(number, column)
        };
        (first..).zip(columns).zip(block.column_iter()).map(of).collect::<Vec<T>>()
    });
    visited.collect()
}
