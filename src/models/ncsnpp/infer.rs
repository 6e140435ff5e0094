//! The options of a generator, from the names and shapes of its parameters.

use std::collections::BTreeSet;

use super::{Combine, EmbeddingType, GeneratorConfig, Network, ProgressiveInput, ProgressiveOutput, ResBlockType};
use crate::checkpoint::Tensors;
use crate::checkpoint::published::published_shape;
use crate::models::Generator;
use crate::{Error, Result};

/// More than any published network has many times over.
const MAX_BLOCKS: usize = 1000;
/// Feature maps of this size have attention in every published network.
const ATTENTION: usize = 16;

impl GeneratorConfig {
    /// The options of the network that has these parameters. What names and shapes do not tell is taken from `base`,
    /// but for the size of the pictures: if it is not given, it is the one for which attention is where the published
    /// networks have it, at 16x16.
    ///
    /// Errors: parameters of another network, or of none with these sizes of pictures.
    pub fn infer(tensors: &impl Tensors, base: &GeneratorConfig, image_size: Option<usize>) -> Result<GeneratorConfig> {
        let parts = Parts(tensors);
        let is_network = tensors.names().iter().any(|name| name.starts_with("all_modules."));
        if is_network && tensors.shape("z_transform.1.weight").is_none() {
            let what = "holds no z_transform.*: what a network without a latent z was trained for does not follow from its \
                        tensors, so that it cannot be imported; `sample` reads what `export` writes as it is";
            return Err(Error::format(tensors.path(), what));
        }
        let known = parts.widths(base).ok_or_else(|| {
            Error::format(
                tensors.path(),
                "is no checkpoint, and holds no generator: none of its tensors are all_modules.* and z_transform.*",
            )
        })?;
        let mut nearest: Option<(GeneratorConfig, Vec<String>)> = None;
        let mut refused = None;
        for config in parts.shapes(&known, image_size).flat_map(|config| variants(&config)) {
            match parts.misfits(&config) {
                Ok(misfits) if misfits.is_empty() => return Ok(config),
                Ok(misfits) if nearest.as_ref().is_none_or(|(_, fewest)| misfits.len() < fewest.len()) => {
                    nearest = Some((config, misfits));
                }
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        let what = match (nearest, refused) {
            (Some((_, misfits)), _) => format!("no known one has them, in the nearest {}", shorten(&misfits)),
            (None, Some(error)) => error.to_string(),
            (None, None) => "the numbers of its blocks and levels do not fit together".into(),
        };
        Err(Error::format(tensors.path(), format!("the generator's options do not follow from its tensors: {what}")))
    }

    /// Whether a network with these options has exactly these parameters.
    pub fn fits(&self, tensors: &impl Tensors) -> bool {
        Parts(tensors).misfits(self).is_ok_and(|misfits| misfits.is_empty())
    }
}

fn shorten(misfits: &[String]) -> String {
    const SHOWN: usize = 4;
    let more = if misfits.len() > SHOWN { ", ..." } else { "" };
    format!("{} of them differ: {}{more}", misfits.len(), misfits[..misfits.len().min(SHOWN)].join(", "))
}

/// The options that show in the names alone, in every combination, those of `config` first.
fn variants(config: &GeneratorConfig) -> Vec<GeneratorConfig> {
    fn base_first<T: PartialEq + Copy>(base: T, all: &[T]) -> Vec<T> {
        std::iter::once(base).chain(all.iter().copied().filter(|&other| other != base)).collect()
    }
    let inputs = [
        (ProgressiveInput::None, config.progressive_combine),
        (ProgressiveInput::InputSkip, Combine::Sum),
        (ProgressiveInput::InputSkip, Combine::Cat),
        (ProgressiveInput::Residual, config.progressive_combine),
    ];
    let outputs = [ProgressiveOutput::None, ProgressiveOutput::OutputSkip, ProgressiveOutput::Residual];
    let mut variants = Vec::new();
    for fir in base_first(config.fir, &[true, false]) {
        for resamp_with_conv in base_first(config.resamp_with_conv, &[true, false]) {
            for (progressive_input, progressive_combine) in
                base_first((config.progressive_input, config.progressive_combine), &inputs)
            {
                for progressive in base_first(config.progressive, &outputs) {
                    variants.push(GeneratorConfig {
                        fir,
                        resamp_with_conv,
                        progressive_input,
                        progressive_combine,
                        progressive,
                        ..config.clone()
                    });
                }
            }
        }
    }
    variants
}

struct Parts<'a, T>(&'a T);

impl<T: Tensors> Parts<'_, T> {
    /// The published shape of `all_modules.{index}.{name}`.
    fn shape(&self, index: usize, name: &str) -> Option<&[usize]> {
        self.0.shape(&format!("all_modules.{index}.{name}"))
    }

    /// What the first parts and the mapping of z tell.
    fn widths(&self, base: &GeneratorConfig) -> Option<GeneratorConfig> {
        let fourier = self.shape(0, "W").is_some();
        let stem = (0..4).find_map(|i| self.shape(i, "weight").filter(|shape| shape.len() == 4))?;
        let z_layers = (0..).take_while(|i| self.0.shape(&format!("z_transform.{}.weight", 2 * i + 1)).is_some());
        let &[z_emb_dim, nz] = self.0.shape("z_transform.1.weight")? else { return None };
        Some(GeneratorConfig {
            network: Network::Ncsnpp,
            num_channels_dae: stem[0],
            num_channels: stem[1],
            embedding_type: if fourier { EmbeddingType::Fourier } else { EmbeddingType::Positional },
            conditional: self.shape(usize::from(fourier), "weight")?.len() == 2,
            n_mlp: z_layers.count() - 1,
            nz,
            z_emb_dim,
            resblock_type: self.block_type(),
            ..base.clone()
        })
    }

    fn blocks(&self) -> Vec<usize> {
        let indices = 0..self.0.names().len();
        indices
            .filter(|&i| self.shape(i, "Conv_0.weight").is_some() && self.shape(i, "Dense_0.bias").is_some())
            .collect()
    }

    fn block_type(&self) -> ResBlockType {
        let any = |name| self.blocks().into_iter().any(|i| self.shape(i, name).is_some());
        if any("NIN_0.W") {
            ResBlockType::Ddpm
        } else if any("GroupNorm_1.weight") {
            ResBlockType::BigganOneadagn
        } else {
            ResBlockType::Biggan
        }
    }

    /// Every way to see the blocks as levels of equally many. L levels of n blocks are n L blocks on the way down, 2 in
    /// the middle, (n + 1) L on the way up, not counting those that resize.
    fn shapes(&self, known: &GeneratorConfig, image_size: Option<usize>) -> impl Iterator<Item = GeneratorConfig> {
        // A block between equal widths needs a shortcut of its own only to resize.
        let resizes = |i| self.shape(i, "Conv_2.weight").is_some_and(|shape| shape.len() == 4 && shape[0] == shape[1]);
        let blocks = self.blocks();
        let plain: Vec<usize> = blocks.iter().copied().filter(|&i| !resizes(i)).collect();
        let levels = match known.resblock_type {
            // Between blocks; the number of levels does not show.
            ResBlockType::Ddpm => 1..=plain.len().min(MAX_BLOCKS),
            _ => {
                let levels = (blocks.len() - plain.len()) / 2 + 1;
                levels..=levels
            }
        };
        levels.filter_map(move |levels| {
            let blocks = plain.len().checked_sub(2 + levels).filter(|_| plain.len() <= MAX_BLOCKS)?;
            let num_res_blocks = Some(blocks / (2 * levels)).filter(|n| *n > 0 && n * 2 * levels == blocks)?;
            let down = plain[..levels * num_res_blocks].chunks(num_res_blocks);
            let width = |block: usize| match *self.shape(block, "Dense_0.bias")? {
                [channels] => channels.checked_div(known.num_channels_dae),
                _ => None,
            };
            let ch_mult = down.clone().map(|level| width(level[0])).collect::<Option<Vec<_>>>()?;
            let attends = |level: &[usize]| level.iter().any(|i| self.shape(i + 1, "NIN_3.W").is_some());
            let attention: Vec<usize> = (0..levels).zip(down).filter(|(_, l)| attends(l)).map(|(i, _)| i).collect();
            let image_size = image_size.unwrap_or_else(|| match attention[..] {
                [first, ..] => ATTENTION.checked_shl(first as u32).unwrap_or(0),
                [] => known.image_size,
            });
            let attn_resolutions = attention.iter().map(|level| image_size.checked_shr(*level as u32).unwrap_or(0));
            Some(GeneratorConfig {
                image_size,
                num_res_blocks,
                ch_mult,
                attn_resolutions: attn_resolutions.collect(),
                ..known.clone()
            })
        })
    }

    /// The names of parameters that the network with these options has and the file has not, or in another shape, and
    /// of those that only the file has. Errors: options that cannot work.
    fn misfits(&self, config: &GeneratorConfig) -> Result<Vec<String>> {
        let outline = Generator::outline(config)?;
        let differs = |param: &&crate::nn::Param| {
            self.0.shape(param.name()) != Some(&published_shape(param.name(), param.shape())[..])
        };
        let mut misfits: Vec<String> = outline.iter().filter(differs).map(|param| param.name().to_owned()).collect();
        let planned: BTreeSet<&str> = outline.iter().map(|param| param.name()).collect();
        misfits.extend(self.0.names().into_iter().filter(|name| !planned.contains(name.as_str())));
        Ok(misfits)
    }
}
