//! Linear layers with LeakyReLU between: the networks for points in the plane (25 Gaussians; Xiao, Kreis, Vahdat, ICLR
//! 2022, appendix C: three hidden layers of 512 in both).
//!
//! They have derivatives of any order: R1 differentiates the gradient of the discriminator.

use std::f64::consts::{FRAC_PI_2, PI};

use crate::autograd::Var;
use crate::nn::{Fan, Init, Linear, Scope};
use crate::{Result, ops};

const HIDDEN_LAYERS: usize = 3;
const SLOPE: f64 = 0.2;
/// The shortest waves of the features are 2 / 2^3 = 0.25 long, a third of the distance between neighbours among the 25
/// Gaussians.
const OCTAVES: usize = 4;

pub(super) struct Mlp(Vec<Linear>);

impl Mlp {
    /// `inputs` numbers to `outputs`, over hidden layers of `width`.
    pub fn new(scope: &mut Scope, inputs: usize, width: usize, outputs: usize) -> Mlp {
        let sizes = [&[inputs][..], &[width; HIDDEN_LAYERS], &[outputs]].concat();
        let layer = |(i, ends): (usize, &[usize])| {
            // He et al., 2015: LeakyReLU keeps about half of the variance.
            let init = Init::VarianceScaling { scale: 2.0, fan: Fan::In };
            Linear::new(&mut scope.child(format_args!("layers.{i}")), ends[0], ends[1], init)
        };
        Mlp(sizes.windows(2).enumerate().map(layer).collect())
    }

    /// x [N, inputs] -> [N, outputs].
    pub fn forward(&self, x: &Var) -> Result<Var> {
        let (last, hidden) = self.0.split_last().expect("an output layer");
        let mut h = x.clone();
        for layer in hidden {
            h = ops::leaky_relu(&layer.forward(&h)?, SLOPE)?;
        }
        last.forward(&h)
    }
}

/// How many [`fourier_features`] there are of `coordinates`.
pub(super) const fn features(coordinates: usize) -> usize {
    coordinates * (1 + 2 * OCTAVES)
}

/// x, sin(2^k pi x), cos(2^k pi x) for k from 0: [N, C] -> [N, features(C)] (Tancik et al., 2020). From coordinates
/// alone linear layers learn slowly what is much narrower than the whole, as the modes are: neither does D see it, nor
/// can G jump from one to the next.
pub(super) fn fourier_features(x: &Var) -> Result<Var> {
    let mut angles = ops::concat_channels(&ops::affine(x, PI, 0.0)?, &ops::affine(x, PI, FRAC_PI_2)?)?;
    for octave in 1..OCTAVES {
        let frequency = PI * f64::from(1 << octave);
        for phase in [0.0, FRAC_PI_2] {
            angles = ops::concat_channels(&angles, &ops::affine(x, frequency, phase)?)?;
        }
    }
    ops::concat_channels(x, &ops::sin(&angles)?)
}
