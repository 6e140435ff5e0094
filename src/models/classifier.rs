//! A small convolutional classifier of 28x28 grey pictures: what digits are judged by.

use crate::autograd::Var;
use crate::nn::{Conv2d, Conv2dSpec, Fan, Init, Linear, Param, Scope};
use crate::tensor::{DType, Device, Tensor};
use crate::{Error, Result, ops};

/// Three convolutions, the latter two of stride 2, and two linear layers, with LeakyReLU between. The hidden linear
/// layer's values are the features that distributions are compared by.
pub struct Classifier {
    classes: usize,
    params: Vec<Param>,
    convolutions: [Conv2d; 3],
    hidden: Linear,
    output: Linear,
}

/// What a classifier makes of pictures.
pub struct Scores {
    /// [N, D]
    pub features: Var,
    /// [N, classes]: logarithms of the classes' probabilities, each row up to a constant.
    pub logits: Var,
}

const SLOPE: f64 = 0.1;
/// Channels after each convolution.
const WIDTHS: [usize; 3] = [16, 32, 64];
/// He et al., 2015: LeakyReLU keeps about half of the variance.
const INIT: Init = Init::VarianceScaling { scale: 2.0, fan: Fan::In };

impl Classifier {
    /// Height and width of the pictures.
    pub const SIDE: usize = 28;
    /// D, the number of features.
    pub const FEATURES: usize = 128;

    /// A classifier with first values drawn from `seed`.
    pub fn new(classes: usize, seed: u64, device: &Device) -> Result<Classifier> {
        let mut params = Vec::new();
        let mut root = Scope::root(seed, DType::F32, &mut params);
        let mut convolution = |i: usize, inputs, stride| {
            let spec = Conv2dSpec { stride, ..Conv2dSpec::conv3x3(inputs, WIDTHS[i], INIT) };
            Conv2d::new(&mut root.child(format_args!("convolutions.{i}")), &spec)
        };
        let convolutions = [convolution(0, 1, 1), convolution(1, WIDTHS[0], 2), convolution(2, WIDTHS[1], 2)];
        let flat = WIDTHS[2] * (Self::SIDE / 4).pow(2);
        let hidden = Linear::new(&mut root.child("hidden"), flat, Self::FEATURES, INIT);
        let output = Linear::new(&mut root.child("output"), Self::FEATURES, classes, INIT);
        params.iter().try_for_each(|p| p.move_to(DType::F32, device))?;
        Ok(Classifier { classes, params, convolutions, hidden, output })
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Of pictures [N, 28, 28, 1] in [-1, 1].
    pub fn forward(&self, pictures: &Tensor) -> Result<Scores> {
        let [n, Self::SIDE, Self::SIDE, 1] = *pictures.shape() else {
            return Err(Error::shape("classifier", "pictures of [N, 28, 28, 1]", pictures.shape()));
        };
        let mut h = Var::constant(pictures.clone());
        for convolution in &self.convolutions {
            h = ops::leaky_relu(&convolution.forward(&h)?, SLOPE)?;
        }
        let flat = ops::reshape(&h, &[n, h.value().len() / n])?;
        let features = ops::leaky_relu(&self.hidden.forward(&flat)?, SLOPE)?;
        let logits = self.output.forward(&features)?;
        Ok(Scores { features, logits })
    }
}
