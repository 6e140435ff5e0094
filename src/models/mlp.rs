//! Linear layers with LeakyReLU between: the networks for points in the plane (25 Gaussians; Xiao, Kreis, Vahdat, ICLR
//! 2022, appendix C: three hidden layers of 512 in both).
//!
//! It has derivatives of any order: R1 differentiates the gradient of the discriminator.

use crate::autograd::Var;
use crate::nn::{Fan, Init, Linear, Scope};
use crate::{Result, ops};

const HIDDEN_LAYERS: usize = 3;
const SLOPE: f64 = 0.2;

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
