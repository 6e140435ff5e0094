//! The generator's way up.

use super::Modules;
use super::block::{Condition, LevelStep, ResBlock, Resizing};
use super::config::{GeneratorConfig, ProgressiveOutput};
use crate::autograd::Var;
use crate::nn::{Attention, Conv2d, Conv2dSpec, Fused, GroupNorm, Init, Resize};
use crate::{Result, ops};

/// Blocks at one size, and the step to the next.
pub(super) struct UpLevel {
    blocks: Vec<ResBlock>,
    attention: Option<Attention>,
    output: OutputPyramid,
    /// `None` at the picture's size.
    grow: Option<LevelStep>,
}

/// Normalised features to pictures, or to other features: conv(SiLU(norm(h))).
pub(super) struct Tail {
    norm: GroupNorm,
    conv: Conv2d,
}

/// What a level adds to the pyramid of outputs.
enum OutputPyramid {
    None,
    /// The lowest level's picture or features.
    First(Tail),
    /// enlarged pyramid + picture of this level.
    Skip {
        resize: Resize,
        tail: Tail,
    },
    /// (enlarged pyramid + features) * rescale, which also are the features from here on.
    Residual {
        resize: Resize,
        rescale: f64,
    },
}

/// The levels from the lowest up, and the layers behind them. Takes `skips` apart from its end.
pub(super) fn build(
    modules: &mut Modules,
    config: &GeneratorConfig,
    mut channels: usize,
    skips: &mut Vec<usize>,
) -> Result<(Vec<UpLevel>, Option<Tail>)> {
    let filter = config.filter();
    let mut pyramid_channels = 0;
    let mut levels = Vec::new();
    for (level, resolution) in config.resolutions().into_iter().enumerate().rev() {
        let outputs = config.num_channels_dae * config.ch_mult[level];
        let mut blocks = Vec::new();
        for _ in 0..=config.num_res_blocks {
            let inputs = channels + skips.pop().expect("one for every block of the way up");
            blocks.push(ResBlock::new(&mut modules.next(), config, inputs, outputs, Resizing::Keep)?);
            channels = outputs;
        }
        let attends = config.attn_resolutions.contains(&resolution);
        let attention = attends.then(|| Attention::new(&mut modules.next(), channels, config.rescale())).transpose()?;
        let lowest = level + 1 == config.ch_mult.len();
        let output = match config.progressive {
            ProgressiveOutput::None => OutputPyramid::None,
            ProgressiveOutput::OutputSkip => {
                let tail = Tail::new(modules, channels, config.num_channels, 0.0)?;
                if lowest {
                    OutputPyramid::First(tail)
                } else {
                    OutputPyramid::Skip { resize: Resize::up(&filter), tail }
                }
            }
            ProgressiveOutput::Residual if lowest => {
                pyramid_channels = channels;
                OutputPyramid::First(Tail::new(modules, channels, channels, 1.0)?)
            }
            ProgressiveOutput::Residual => {
                let resize = Resize::up_conv(&mut modules.next(), &filter, pyramid_channels, channels);
                pyramid_channels = channels;
                OutputPyramid::Residual { resize, rescale: config.rescale() }
            }
        };
        let grow =
            (level > 0).then(|| LevelStep::new(&mut modules.next(), config, channels, Resizing::Up)).transpose()?;
        levels.push(UpLevel { blocks, attention, output, grow });
    }
    assert!(skips.is_empty(), "the way up must meet all of the way down");
    let tail = (config.progressive != ProgressiveOutput::OutputSkip)
        .then(|| Tail::new(modules, channels, config.num_channels, 0.0))
        .transpose()?;
    Ok((levels, tail))
}

impl UpLevel {
    /// h from the level below or the middle; `pyramid` is what the levels so far have put together.
    pub(super) fn forward(
        &self,
        mut h: Var,
        skips: &mut Vec<Var>,
        pyramid: &mut Option<Var>,
        condition: &Condition,
    ) -> Result<Var> {
        for block in &self.blocks {
            let skip = skips.pop().expect("one for every block of the way up");
            h = block.forward(&ops::concat_channels(&h, &skip)?, condition)?;
        }
        if let Some(attention) = &self.attention {
            h = attention.forward(&h)?;
        }
        let below = || pyramid.as_ref().expect("the lowest level began the pyramid");
        match &self.output {
            OutputPyramid::None => {}
            OutputPyramid::First(tail) => *pyramid = Some(tail.forward(&h)?),
            OutputPyramid::Skip { resize, tail } => {
                let enlarged = resize.forward(below())?;
                *pyramid = Some(tail.forward_fused(&h, Fused::residual(&enlarged, 1.0))?);
            }
            OutputPyramid::Residual { resize, rescale } => {
                h = resize.forward_residual(below(), &h, *rescale)?;
                *pyramid = Some(h.clone());
            }
        }
        match &self.grow {
            Some(step) => step.forward(&h, condition),
            None => Ok(h),
        }
    }
}

impl Tail {
    fn new(modules: &mut Modules, inputs: usize, outputs: usize, init_scale: f64) -> Result<Self> {
        let norm = GroupNorm::new(&mut modules.next(), inputs)?;
        let spec = Conv2dSpec::conv3x3(inputs, outputs, Init::average(init_scale));
        Ok(Tail { norm, conv: Conv2d::new(&mut modules.next(), &spec) })
    }

    pub(super) fn forward(&self, h: &Var) -> Result<Var> {
        self.forward_fused(h, Fused::NOTHING)
    }

    fn forward_fused(&self, h: &Var, fused: Fused) -> Result<Var> {
        self.conv.forward_fused(&self.norm.forward_silu(h)?, fused)
    }
}
