//! Doubling and halving of feature maps, with or without a convolution.

use super::{Conv2d, Conv2dSpec, Fused, Init, Scope};
use crate::autograd::Var;
use crate::ops::Resample;
use crate::{Result, ops};

/// How pictures are doubled and halved.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Convolution with a smoothing kernel, given as its one-dimensional half.
    Fir(Vec<f64>),
    /// Nearest neighbour up, mean of 2x2 down.
    Box,
}

impl Filter {
    /// [N, H, W, C] -> [N, 2H, 2W, C].
    pub fn up(&self) -> Resample {
        match self {
            Filter::Fir(kernel) => Resample::fir_up2(kernel),
            Filter::Box => Resample::nearest_up2(),
        }
    }

    /// [N, H, W, C] -> [N, H/2, W/2, C].
    pub fn down(&self) -> Resample {
        match self {
            Filter::Fir(kernel) => Resample::fir_down2(kernel),
            Filter::Box => Resample::average_down2(),
        }
    }
}

/// A layer that changes the size of a feature map: resampling, then a 3x3 convolution, either of which may be missing.
pub struct Resize {
    resample: Option<Resample>,
    conv: Option<Conv2d>,
}

impl Resize {
    /// Doubling without parameters.
    pub fn up(filter: &Filter) -> Self {
        Resize { resample: Some(filter.up()), conv: None }
    }

    /// Halving without parameters.
    pub fn down(filter: &Filter) -> Self {
        Resize { resample: Some(filter.down()), conv: None }
    }

    /// Doubling, then a 3x3 convolution.
    pub fn up_conv(scope: &mut Scope, filter: &Filter, inputs: usize, outputs: usize) -> Self {
        let spec = Conv2dSpec::conv3x3(inputs, outputs, Init::average(1.0));
        let conv = Conv2d::new(&mut scope.child(conv_name(filter)), &spec);
        Resize { resample: Some(filter.up()), conv: Some(conv) }
    }

    /// Halving by a 3x3 convolution of stride 2: of the smoothed input, or of the input with a row and a column of
    /// zeros at its end.
    pub fn down_conv(scope: &mut Scope, filter: &Filter, inputs: usize, outputs: usize) -> Self {
        let (resample, pad) = match filter {
            // Padded so that the smoothing and the convolution without padding together keep the centre.
            Filter::Fir(kernel) => {
                let margin = kernel.len();
                let (before, after) = (margin.div_ceil(2), margin / 2);
                (Some(Resample::fir_pad(kernel, [before, after, before, after])), [0; 4])
            }
            Filter::Box => (None, [0, 1, 0, 1]),
        };
        let spec = Conv2dSpec { stride: 2, pad, ..Conv2dSpec::conv3x3(inputs, outputs, Init::average(1.0)) };
        Resize { resample, conv: Some(Conv2d::new(&mut scope.child(conv_name(filter)), &spec)) }
    }

    /// x [N, H, W, C] -> [N, P, Q, K].
    pub fn forward(&self, x: &Var) -> Result<Var> {
        let resampled = self.resample(x)?;
        match &self.conv {
            Some(conv) => conv.forward(&resampled),
            None => Ok(resampled),
        }
    }

    /// (forward(x) + residual) * scale.
    pub fn forward_residual(&self, x: &Var, residual: &Var, scale: f64) -> Result<Var> {
        let resampled = self.resample(x)?;
        match &self.conv {
            Some(conv) => conv.forward_fused(&resampled, Fused::residual(residual, scale)),
            None => ops::scale_add(scale, &resampled, scale, residual),
        }
    }

    fn resample(&self, x: &Var) -> Result<Var> {
        match &self.resample {
            Some(resample) => ops::fir_resample(x, resample),
            None => Ok(x.clone()),
        }
    }
}

/// The published name of the convolution in a resizing layer.
fn conv_name(filter: &Filter) -> &'static str {
    match filter {
        Filter::Fir(_) => "Conv2d_0",
        Filter::Box => "Conv_0",
    }
}
