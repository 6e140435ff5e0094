//! Convolution layers.

use super::{Init, Param, Scope};
use crate::autograd::Var;
use crate::ops::{Conv2dOptions, ConvEpilogue};
use crate::{Result, ops};

/// A convolution of square filters: `weight` [K, R, R, C], `bias` [K].
pub struct Conv2d {
    weight: Param,
    bias: Option<Param>,
    options: Conv2dOptions,
}

/// What a [`Conv2d`] is made from: 3x3, stride 1, size-preserving padding and a bias unless changed.
#[derive(Clone)]
pub struct Conv2dSpec {
    /// C.
    pub inputs: usize,
    /// K.
    pub outputs: usize,
    /// R = S.
    pub filter: usize,
    pub stride: usize,
    /// Zeros around the input: top, bottom, left, right.
    pub pad: [usize; 4],
    pub bias: bool,
    pub init: Init,
}

impl Conv2dSpec {
    pub fn conv3x3(inputs: usize, outputs: usize, init: Init) -> Self {
        Conv2dSpec { inputs, outputs, filter: 3, stride: 1, pad: [1; 4], bias: true, init }
    }

    pub fn conv1x1(inputs: usize, outputs: usize, init: Init) -> Self {
        Conv2dSpec { filter: 1, pad: [0; 4], ..Self::conv3x3(inputs, outputs, init) }
    }
}

/// What else a convolution does before it writes its result: (conv + bias + time_bias + residual) * scale.
#[derive(Clone, Copy)]
pub struct Fused<'a> {
    /// [N, K].
    pub time_bias: Option<&'a Var>,
    /// [N, P, Q, K].
    pub residual: Option<&'a Var>,
    pub scale: f64,
}

impl<'a> Fused<'a> {
    pub const NOTHING: Fused<'static> = Fused { time_bias: None, residual: None, scale: 1.0 };

    /// (conv + bias + residual) * scale.
    pub fn residual(residual: &'a Var, scale: f64) -> Self {
        Fused { residual: Some(residual), scale, ..Fused::NOTHING }
    }
}

impl Conv2d {
    pub fn new(scope: &mut Scope, spec: &Conv2dSpec) -> Self {
        Self::named(scope, spec, ("weight", "bias"))
    }

    /// The pointwise layer whose published parameters are `W` [C, K] and `b`: a 1x1 convolution, `W` turned at the
    /// edge like every other convolution's weight.
    pub fn nin(scope: &mut Scope, inputs: usize, outputs: usize, init_scale: f64) -> Self {
        Self::named(scope, &Conv2dSpec::conv1x1(inputs, outputs, Init::average(init_scale)), ("W", "b"))
    }

    fn named(scope: &mut Scope, spec: &Conv2dSpec, (weight, bias): (&str, &str)) -> Self {
        let shape = [spec.outputs, spec.filter, spec.filter, spec.inputs];
        let weight = scope.param(weight, &shape, spec.init);
        let bias = spec.bias.then(|| scope.param(bias, &[spec.outputs], Init::Zeros));
        Conv2d { weight, bias, options: Conv2dOptions { stride: spec.stride, pad: spec.pad } }
    }

    /// x [N, H, W, C] -> [N, P, Q, K].
    pub fn forward(&self, x: &Var) -> Result<Var> {
        self.forward_fused(x, Fused::NOTHING)
    }

    /// x [N, H, W, C] -> [N, P, Q, K], and what `fused` adds, in one pass over the result.
    pub fn forward_fused(&self, x: &Var, fused: Fused) -> Result<Var> {
        let bias = self.bias.as_ref().map(|bias| bias.var_in(x.dtype())).transpose()?;
        let Fused { time_bias, residual, scale } = fused;
        let epilogue = ConvEpilogue { bias: bias.as_ref(), time_bias, residual, scale };
        ops::conv2d(x, &self.weight.var_in(x.dtype())?, &self.options, &epilogue)
    }
}
