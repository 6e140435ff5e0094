//! What a generator drew: pictures, or points in the plane.

use std::path::Path;

use super::{Pictures, Points, png};
use crate::data::ImageShape;
use crate::data::toys::Kind;
use crate::error::{Error, Result};
use crate::fsutil::write_atomic;
use crate::metrics::ModeCoverage;

/// Pictures as bytes, points as they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    Pictures(Pictures),
    Points(Points),
}

/// What a generator gave, [N, H, W, C], if it is numbers.
///
/// Errors: it is not. As bytes NaN would be black, and nobody would know why.
pub fn ensure_finite(values: &[f32]) -> Result<()> {
    if values.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    let what = "the generator gives numbers that are not finite: its parameters are damaged, or too large for what it \
                computes in (--precision); try an earlier checkpoint (--step)";
    Err(Error::config(what))
}

impl Samples {
    /// None yet.
    pub fn new(shape: ImageShape) -> Samples {
        match shape {
            ImageShape::POINT => Samples::Points(Points::default()),
            _ => Samples::Pictures(Pictures::new(shape)),
        }
    }

    /// Adds [N, H, W, C].
    pub fn push(&mut self, values: &[f32]) {
        match self {
            Samples::Pictures(pictures) => pictures.push(values),
            Samples::Points(points) => points.push(values),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Samples::Pictures(pictures) => pictures.len(),
            Samples::Points(points) => points.as_slice().len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How they cover the modes of a data set of points that has any.
    pub fn mode_coverage(&self, dataset: &str) -> Option<ModeCoverage> {
        match self {
            Samples::Pictures(_) => None,
            Samples::Points(points) => ModeCoverage::of(points.as_slice(), Kind::by_name(dataset)?),
        }
    }

    /// Writes all of them as one PNG: a near-square grid of pictures, or a scatter plot beside the data set, if it is one
    /// of points.
    pub fn save_overview(&self, path: impl AsRef<Path>, dataset: &str) -> Result<()> {
        match self {
            Samples::Pictures(pictures) => pictures.save_grid(path, None),
            Samples::Points(points) => {
                let plot = points.scatter(Kind::by_name(dataset));
                write_atomic(path, |file| png::encode(file, plot.shape, &plot.pixels))
            }
        }
    }
}
