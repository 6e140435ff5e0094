//! The generator's way down.

use super::Modules;
use super::block::{Condition, LevelStep, ResBlock, Resizing};
use super::config::{Combine, GeneratorConfig, ProgressiveInput};
use crate::autograd::Var;
use crate::nn::{Attention, Conv2d, Conv2dSpec, Fused, Init, Resize};
use crate::{Result, ops};

/// Blocks at one size, and the step to the next.
pub(super) struct DownLevel {
    blocks: Vec<(ResBlock, Option<Attention>)>,
    /// `None` at the last level.
    shrink: Option<Shrink>,
}

struct Shrink {
    features: LevelStep,
    input: InputPyramid,
}

/// How the shrunken input joins the features.
enum InputPyramid {
    None,
    /// features + combine(shrunken input), or both side by side.
    Skip {
        resize: Resize,
        combine: Conv2d,
        how: Combine,
    },
    /// (features + shrunken input) * rescale, which also is the next level's input.
    Residual {
        resize: Resize,
        rescale: f64,
    },
}

/// The levels, and the channels of everything the way up will see: the stem's output and that of every block.
pub(super) fn build(modules: &mut Modules, config: &GeneratorConfig) -> Result<(Vec<DownLevel>, Vec<usize>)> {
    let mut channels = config.num_channels_dae;
    let mut pyramid_channels = config.num_channels;
    let mut skips = vec![channels];
    let mut levels = Vec::new();
    for (level, resolution) in config.resolutions().into_iter().enumerate() {
        let outputs = config.num_channels_dae * config.ch_mult[level];
        let mut blocks = Vec::new();
        for _ in 0..config.num_res_blocks {
            let block = ResBlock::new(&mut modules.next(), config, channels, outputs, Resizing::Keep)?;
            channels = outputs;
            let attends = config.attn_resolutions.contains(&resolution);
            let attention =
                attends.then(|| Attention::new(&mut modules.next(), channels, config.rescale())).transpose()?;
            blocks.push((block, attention));
            skips.push(channels);
        }
        let last = level + 1 == config.ch_mult.len();
        let shrink = (!last).then(|| Shrink::new(modules, config, &mut channels, &mut pyramid_channels)).transpose()?;
        if shrink.is_some() {
            skips.push(channels);
        }
        levels.push(DownLevel { blocks, shrink });
    }
    Ok((levels, skips))
}

impl Shrink {
    /// `channels` of the features and `pyramid` of the shrunken input become what they are after this step.
    fn new(modules: &mut Modules, config: &GeneratorConfig, channels: &mut usize, pyramid: &mut usize) -> Result<Self> {
        let filter = config.filter();
        let c = *channels;
        let features = LevelStep::new(&mut modules.next(), config, c, Resizing::Down)?;
        let input = match config.progressive_input {
            ProgressiveInput::None => InputPyramid::None,
            ProgressiveInput::InputSkip => {
                let how = config.progressive_combine;
                let spec = Conv2dSpec::conv1x1(*pyramid, c, Init::average(1.0));
                let combine = Conv2d::new(&mut modules.next().child("Conv_0"), &spec);
                if how == Combine::Cat {
                    *channels *= 2;
                }
                InputPyramid::Skip { resize: Resize::down(&filter), combine, how }
            }
            ProgressiveInput::Residual => {
                let resize = Resize::down_conv(&mut modules.next(), &filter, *pyramid, c);
                *pyramid = c;
                InputPyramid::Residual { resize, rescale: config.rescale() }
            }
        };
        Ok(Shrink { features, input })
    }

    /// The features h and the shrunken input at half the size.
    fn forward(&self, h: &Var, picture: &mut Var, condition: &Condition) -> Result<Var> {
        let h = self.features.forward(h, condition)?;
        match &self.input {
            InputPyramid::None => Ok(h),
            InputPyramid::Skip { resize, combine, how } => {
                *picture = resize.forward(picture)?;
                match how {
                    Combine::Sum => combine.forward_fused(picture, Fused::residual(&h, 1.0)),
                    Combine::Cat => ops::concat_channels(&combine.forward(picture)?, &h),
                }
            }
            InputPyramid::Residual { resize, rescale } => {
                *picture = resize.forward_residual(picture, &h, *rescale)?;
                Ok(picture.clone())
            }
        }
    }
}

impl DownLevel {
    /// Goes on from the last of `skips` and appends what the way up will see. `picture` is the input, shrunken so far.
    pub(super) fn forward(&self, skips: &mut Vec<Var>, picture: &mut Var, condition: &Condition) -> Result<()> {
        let mut h = skips.last().expect("the stem's output").clone();
        for (block, attention) in &self.blocks {
            h = block.forward(&h, condition)?;
            if let Some(attention) = attention {
                h = attention.forward(&h)?;
            }
            skips.push(h.clone());
        }
        if let Some(shrink) = &self.shrink {
            skips.push(shrink.forward(&h, picture, condition)?);
        }
        Ok(())
    }
}
