//! How well points cover the modes of a mixture.

use super::{covered, kl_to_uniform};
use crate::data::toys::Kind;

/// Points against a mixture of Gaussians, by the usual definitions (Srivastava et al., VEEGAN, NeurIPS 2017). A point is
/// of high quality if it lies within 3 standard deviations of a mode, of which the data has 98.9 %; a mode is recovered
/// if it has such a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModeCoverage {
    /// Modes that are recovered, of how many.
    pub recovered: usize,
    pub modes: usize,
    /// The share of all points that are of high quality.
    pub high_quality: f64,
    /// KL(high-quality points over the modes | uniform) in nats; ln(modes) if all are at one, or there are none.
    pub kl: f64,
}

impl ModeCoverage {
    /// Of points x, y; nothing where there are none, and for a distribution without modes.
    pub fn of(points: &[[f32; 2]], kind: Kind) -> Option<ModeCoverage> {
        let (modes, radius) = (kind.modes(), 3.0 * kind.deviation());
        if points.is_empty() || modes.is_empty() {
            return None;
        }
        let mut counts = vec![0_u64; modes.len()];
        for &[x, y] in points {
            let near = |&[a, b]: &[f64; 2]| (f64::from(x) - a).hypot(f64::from(y) - b) <= radius;
            // No two modes are so close that a point is near both.
            if let Some(mode) = modes.iter().position(near) {
                counts[mode] += 1;
            }
        }
        Some(ModeCoverage {
            recovered: covered(&counts),
            modes: modes.len(),
            high_quality: counts.iter().sum::<u64>() as f64 / points.len() as f64,
            kl: kl_to_uniform(&counts).unwrap_or((modes.len() as f64).ln()),
        })
    }
}

impl std::fmt::Display for ModeCoverage {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let ModeCoverage { recovered, modes, high_quality, kl } = self;
        let percent = 100.0 * high_quality;
        write!(f, "{recovered} of {modes} modes, {percent:.1} % within three standard deviations, KL {kl:.3}")
    }
}
