//! Distributions in the plane, drawn by the program: where one sees at a glance which modes a generator found.
//!
//! A point is a picture of 1x1 with two channels, so that everything made for pictures works on points. Their sizes are
//! the usual ones of Gulrajani et al. (2017), scaled to a variance of about 1 a coordinate: unlike pictures they reach
//! beyond [-1, 1].

use super::rng::Purpose;
use super::{Dataset, ImageShape, Split};
use crate::backend::philox::{normal4, philox4x32, uniform};
use crate::error::Result;
use std::f64::consts::{PI, SQRT_2, TAU};

/// The points of a split; every one of an epoch's 200 batches of 512 is full.
const POINTS: usize = 200 * 512;

/// Which distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A mixture of 25 equal Gaussians on a grid of 5x5.
    Gaussians25,
    /// A mixture of eight equal Gaussians on a circle.
    Ring8,
    /// A spiral with noise.
    SwissRoll,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Gaussians25, Kind::Ring8, Kind::SwissRoll];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Gaussians25 => "gaussians25",
            Kind::Ring8 => "ring8",
            Kind::SwissRoll => "swissroll",
        }
    }

    pub fn by_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The centres of the mixture's components, by label; none for the spiral.
    pub fn modes(self) -> Vec<[f64; 2]> {
        match self {
            Kind::Gaussians25 => {
                let at = |i: i32| f64::from(i - 2) * 2.0 / 8f64.sqrt();
                (0..25).map(|i| [at(i % 5), at(i / 5)]).collect()
            }
            Kind::Ring8 => {
                let angle = |i: i32| f64::from(i) * TAU / 8.0;
                (0..8).map(|i| [SQRT_2 * angle(i).cos(), SQRT_2 * angle(i).sin()]).collect()
            }
            Kind::SwissRoll => Vec::new(),
        }
    }

    /// The standard deviation of the noise around a mode or around the spiral, each coordinate.
    pub fn deviation(self) -> f64 {
        match self {
            Kind::Gaussians25 => 0.05 / 8f64.sqrt(),
            Kind::Ring8 => 0.02 / SQRT_2,
            Kind::SwissRoll => 0.25 / 7.5,
        }
    }
}

/// The points of one distribution. Of a mixture, label = index mod modes.
pub struct Toy {
    kind: Kind,
    modes: Vec<[f64; 2]>,
    split: Split,
    seed: u64,
}

impl Toy {
    pub fn new(kind: Kind, split: Split, seed: u64) -> Toy {
        Toy { kind, modes: kind.modes(), split, seed }
    }

    /// Point `index`, x and y.
    pub fn point(&self, index: usize) -> [f32; 2] {
        let purpose = match self.split {
            Split::Train => Purpose::PointTrain,
            Split::Test => Purpose::PointTest,
        };
        let key = purpose.key(self.seed, index as u32);
        let [x, y] = match self.kind {
            Kind::Gaussians25 | Kind::Ring8 => self.modes[self.label(index) as usize],
            Kind::SwissRoll => {
                let turn = 1.5 * PI * (1.0 + 2.0 * f64::from(uniform(philox4x32(key, 1)[0])));
                [turn * turn.cos() / 7.5, turn * turn.sin() / 7.5]
            }
        };
        let [a, b, ..] = normal4(key, 0).map(|noise| self.kind.deviation() * f64::from(noise));
        [(x + a) as f32, (y + b) as f32]
    }
}

impl Dataset for Toy {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn origin(&self) -> String {
        "drawn by the program".into()
    }

    fn len(&self) -> usize {
        POINTS
    }

    fn shape(&self) -> ImageShape {
        ImageShape::POINT
    }

    fn classes(&self) -> usize {
        self.modes.len().max(1)
    }

    fn label(&self, index: usize) -> u32 {
        (index % self.classes()) as u32
    }

    fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        out.copy_from_slice(&self.point(index));
        Ok(())
    }
}
