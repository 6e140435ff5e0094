//! Group norm with learned scale and shift, or with scale and shift computed from a style vector.

use super::{Init, Linear, Param, Scope};
use crate::autograd::Var;
use crate::ops::GroupNormOptions;
use crate::{Error, Result, ops};

const EPS: f64 = 1e-6;

/// Four channels a group until there are 32 groups, as published.
fn options(scope: &Scope, channels: usize) -> Result<GroupNormOptions> {
    let groups = (channels / 4).min(32);
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(Error::config(format!(
            "{}: group norm cannot divide {channels} channels into {groups} groups; make num_channels_dae times every \
             entry of ch_mult a multiple of 4 (up to 128 channels) or of 32 (above)",
            scope.path()
        )));
    }
    Ok(GroupNormOptions { groups, eps: EPS, silu: false })
}

/// Group norm whose scale and shift are parameters [C], 1 and 0 at first.
pub struct GroupNorm {
    weight: Param,
    bias: Param,
    options: GroupNormOptions,
}

impl GroupNorm {
    pub fn new(scope: &mut Scope, channels: usize) -> Result<Self> {
        let options = options(scope, channels)?;
        let weight = scope.param("weight", &[channels], Init::Ones);
        Ok(GroupNorm { weight, bias: scope.param("bias", &[channels], Init::Zeros), options })
    }

    /// x [N, H, W, C] -> the same shape.
    pub fn forward(&self, x: &Var) -> Result<Var> {
        self.norm(x, &self.options)
    }

    /// SiLU of the norm, in one pass.
    pub fn forward_silu(&self, x: &Var) -> Result<Var> {
        self.norm(x, &GroupNormOptions { silu: true, ..self.options })
    }

    fn norm(&self, x: &Var, options: &GroupNormOptions) -> Result<Var> {
        ops::group_norm(x, &self.weight.var_in(x.dtype())?, &self.bias.var_in(x.dtype())?, options)
    }
}

/// Group norm whose scale and shift are a linear function of a style vector: (scale, shift) = style(z), where the
/// bias of `style` makes them 1 and 0 at first.
pub struct AdaptiveGroupNorm {
    style: Linear,
    channels: usize,
    options: GroupNormOptions,
}

impl AdaptiveGroupNorm {
    pub fn new(scope: &mut Scope, channels: usize, style_dim: usize) -> Result<Self> {
        let options = options(scope, channels)?;
        let style =
            Linear::with_bias(&mut scope.child("style"), style_dim, 2 * channels, Init::out(1.0), Init::OnesThenZeros);
        Ok(AdaptiveGroupNorm { style, channels, options })
    }

    /// SiLU of the norm of x [N, H, W, C] with the style of z [N, Z], in one pass over x.
    pub fn forward_silu(&self, x: &Var, z: &Var) -> Result<Var> {
        let style = self.style.forward(z)?;
        let scale = ops::slice_channels(&style, 0, self.channels)?;
        let shift = ops::slice_channels(&style, self.channels, self.channels)?;
        ops::group_norm(x, &scale, &shift, &GroupNormOptions { silu: true, ..self.options })
    }
}
