//! The residual block of the generator.

use super::config::{GeneratorConfig, ResBlockType};
use crate::autograd::Var;
use crate::nn::{AdaptiveGroupNorm, Conv2d, Conv2dSpec, Fused, GroupNorm, Init, Linear, Resize, Scope};
use crate::ops::Resample;
use crate::tensor::{Key, stream};
use crate::{Result, ops};

/// What every block is told besides its input.
pub struct Condition<'a> {
    /// [N, Z]: the mapped z; `None` in a network without one.
    pub z: Option<&'a Var>,
    /// [N, 4 * width]: SiLU of the time embedding; `None` if the network is not told the time.
    pub time: Option<&'a Var>,
    /// Where dropout draws from; `None` outside of training.
    pub dropout: Option<Key>,
}

/// How a block changes the size of its input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Resizing {
    Keep,
    Up,
    Down,
}

/// Group norm whose scale and shift come from z, or are parameters of their own.
enum Norm {
    Adaptive(AdaptiveGroupNorm),
    Affine(GroupNorm),
}

impl Norm {
    fn new(scope: &mut Scope, config: &GeneratorConfig, channels: usize, adaptive: bool) -> Result<Self> {
        Ok(match adaptive && config.nz > 0 {
            true => Norm::Adaptive(AdaptiveGroupNorm::new(scope, channels, config.z_emb_dim)?),
            false => Norm::Affine(GroupNorm::new(scope, channels)?),
        })
    }

    fn forward_silu(&self, x: &Var, z: Option<&Var>) -> Result<Var> {
        match self {
            Norm::Adaptive(norm) => norm.forward_silu(x, z.expect("a network with adaptive norms maps z")),
            Norm::Affine(norm) => norm.forward_silu(x),
        }
    }
}

/// With f = SiLU of group norm and R = resampling:
///
/// h = Conv_0(R(f_0(x, z))) + Dense_0(time);  h = Conv_1(dropout(f_1(h, z)));  out = (shortcut(R(x)) + h) * rescale
pub struct ResBlock {
    norm_0: Norm,
    conv_0: Conv2d,
    dense_0: Linear,
    norm_1: Norm,
    conv_1: Conv2d,
    /// 1x1, where the shapes of x and h differ; the biggan blocks have one wherever they resize too.
    shortcut: Option<Conv2d>,
    resample: Option<Resample>,
    dropout: f64,
    /// Tells this block's dropout from the others'.
    path: String,
    rescale: f64,
}

impl ResBlock {
    /// A block from `inputs` to `outputs` channels.
    pub fn new(
        scope: &mut Scope,
        config: &GeneratorConfig,
        inputs: usize,
        outputs: usize,
        resizing: Resizing,
    ) -> Result<Self> {
        let norm_0 = Norm::new(&mut scope.child("GroupNorm_0"), config, inputs, true)?;
        let conv_0 = Conv2d::new(&mut scope.child("Conv_0"), &Conv2dSpec::conv3x3(inputs, outputs, Init::average(1.0)));
        // There even if the time does not enter: the published networks have it too.
        let time_dim = 4 * config.num_channels_dae;
        let dense_0 = Linear::new(&mut scope.child("Dense_0"), time_dim, outputs, Init::average(1.0));
        let adaptive = config.resblock_type != ResBlockType::BigganOneadagn;
        let norm_1 = Norm::new(&mut scope.child("GroupNorm_1"), config, outputs, adaptive)?;
        let conv_1 =
            Conv2d::new(&mut scope.child("Conv_1"), &Conv2dSpec::conv3x3(outputs, outputs, Init::average(0.0)));
        let shortcut = match config.resblock_type {
            _ if inputs == outputs && resizing == Resizing::Keep => None,
            ResBlockType::Ddpm => Some(Conv2d::nin(&mut scope.child("NIN_0"), inputs, outputs, 0.1)),
            _ => {
                Some(Conv2d::new(&mut scope.child("Conv_2"), &Conv2dSpec::conv1x1(inputs, outputs, Init::average(1.0))))
            }
        };
        let resample = match resizing {
            Resizing::Keep => None,
            Resizing::Up => Some(config.filter().up()),
            Resizing::Down => Some(config.filter().down()),
        };
        Ok(ResBlock {
            norm_0,
            conv_0,
            dense_0,
            norm_1,
            conv_1,
            shortcut,
            resample,
            dropout: config.dropout,
            path: scope.path().to_owned(),
            rescale: config.rescale(),
        })
    }

    /// x [N, H, W, C] -> [N, P, Q, K].
    pub fn forward(&self, x: &Var, condition: &Condition) -> Result<Var> {
        let resample = |x: Var| match &self.resample {
            Some(resample) => ops::fir_resample(&x, resample),
            None => Ok(x),
        };
        let h = resample(self.norm_0.forward_silu(x, condition.z)?)?;
        let time_bias = condition.time.map(|time| self.dense_0.forward(time)).transpose()?;
        let h = self.conv_0.forward_fused(&h, Fused { time_bias: time_bias.as_ref(), ..Fused::NOTHING })?;
        let mut h = self.norm_1.forward_silu(&h, condition.z)?;
        if let (Some(key), true) = (condition.dropout, self.dropout > 0.0) {
            h = ops::dropout(&h, self.dropout, Key { stream: stream(&self.path, key.stream), ..key })?;
        }
        let mut shortcut = resample(x.clone())?;
        if let Some(conv) = &self.shortcut {
            shortcut = conv.forward(&shortcut)?;
        }
        self.conv_1.forward_fused(&h, Fused::residual(&shortcut, self.rescale))
    }
}

/// The step from one level to the next: a block that resizes, or a resizing layer between `ddpm` blocks.
pub enum LevelStep {
    Block(Box<ResBlock>),
    Layer(Resize),
}

impl LevelStep {
    /// Up or down, keeping the number of channels.
    pub fn new(scope: &mut Scope, config: &GeneratorConfig, channels: usize, resizing: Resizing) -> Result<Self> {
        let filter = config.filter();
        Ok(match (config.resblock_type, resizing, config.resamp_with_conv) {
            (ResBlockType::Ddpm, Resizing::Up, true) => {
                LevelStep::Layer(Resize::up_conv(scope, &filter, channels, channels))
            }
            (ResBlockType::Ddpm, Resizing::Up, false) => LevelStep::Layer(Resize::up(&filter)),
            (ResBlockType::Ddpm, _, true) => LevelStep::Layer(Resize::down_conv(scope, &filter, channels, channels)),
            (ResBlockType::Ddpm, _, false) => LevelStep::Layer(Resize::down(&filter)),
            _ => LevelStep::Block(Box::new(ResBlock::new(scope, config, channels, channels, resizing)?)),
        })
    }

    pub fn forward(&self, h: &Var, condition: &Condition) -> Result<Var> {
        match self {
            LevelStep::Block(block) => block.forward(h, condition),
            LevelStep::Layer(resize) => resize.forward(h),
        }
    }
}
