//! What samples are worth, from numbers alone: features and class probabilities of real and of generated pictures,
//! and points beside the modes of a mixture.
//!
//! Nothing here knows networks or files. All sums are in f64.

mod classes;
mod features;
mod gaussian;
mod kernel;
mod modes;
mod neighbours;

pub use classes::{InceptionScore, Predictions, covered, kl_to_uniform};
pub use features::Features;
pub use gaussian::{Gaussian, Moments, frechet_distance};
pub use kernel::{KernelDistance, kernel_distance, squared_mmd};
pub use modes::ModeCoverage;
pub use neighbours::{Neighbours, neighbours};
