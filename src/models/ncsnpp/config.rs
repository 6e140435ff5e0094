//! Every option of the published generator, under its published name.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a residual block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResBlockType {
    /// Resizes inside the block; both norms take scale and shift from z.
    #[default]
    Biggan,
    /// Resizes inside the block; only the first norm takes scale and shift from z.
    BigganOneadagn,
    /// Resizes between blocks; both norms take scale and shift from z.
    Ddpm,
}

/// How the picture is put together on the way up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressiveOutput {
    /// From the last level alone.
    #[default]
    None,
    /// A picture from every level, each added to the enlarged one before it.
    OutputSkip,
    /// The features of every level, averaged with the enlarged ones before it.
    Residual,
}

/// How smaller versions of the input enter on the way down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressiveInput {
    None,
    /// Each level combines its features with the shrunken input.
    InputSkip,
    /// Each level averages its features with a shrinking convolution of the level before.
    #[default]
    Residual,
}

/// How `input_skip` combines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    #[default]
    Sum,
    Cat,
}

/// How the time enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingType {
    /// The index of the time step.
    #[default]
    Positional,
    /// The logarithm of a noise level.
    Fourier,
}

/// The generator's options; what a file leaves out has the published default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorConfig {
    /// Height and width of the pictures.
    pub image_size: usize,
    /// Channels of the pictures.
    pub num_channels: usize,
    /// Whether pictures are in [-1, 1]; if not, inputs are taken to be in [0, 1].
    pub centered: bool,
    /// Base width.
    pub num_channels_dae: usize,
    /// Layers of the z mapping after its first.
    pub n_mlp: usize,
    /// Width of each level as a multiple of the base width; each level has half the size of the one before.
    pub ch_mult: Vec<usize>,
    /// Residual blocks a level on the way down; one more on the way up.
    pub num_res_blocks: usize,
    /// Sizes of feature maps that have attention. The smallest level always has it.
    pub attn_resolutions: Vec<usize>,
    /// The probability of dropping a feature inside a residual block.
    pub dropout: f64,
    /// Whether resizing between blocks has a convolution.
    pub resamp_with_conv: bool,
    /// Whether the time enters at all.
    pub conditional: bool,
    /// Whether resizing smooths with `fir_kernel`.
    pub fir: bool,
    pub fir_kernel: Vec<f64>,
    /// Whether sums of a block and its shortcut are divided by sqrt 2.
    pub skip_rescale: bool,
    pub resblock_type: ResBlockType,
    pub progressive: ProgressiveOutput,
    pub progressive_input: ProgressiveInput,
    pub progressive_combine: Combine,
    pub embedding_type: EmbeddingType,
    /// Standard deviation of the Fourier frequencies.
    pub fourier_scale: f64,
    /// Whether the output is left unbounded.
    pub not_use_tanh: bool,
    /// Numbers in z.
    pub nz: usize,
    /// Width of the z mapping.
    pub z_emb_dim: usize,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        GeneratorConfig {
            image_size: 32,
            num_channels: 3,
            centered: true,
            num_channels_dae: 128,
            n_mlp: 3,
            ch_mult: vec![1, 2, 2, 2],
            num_res_blocks: 2,
            attn_resolutions: vec![16],
            dropout: 0.0,
            resamp_with_conv: true,
            conditional: true,
            fir: true,
            fir_kernel: vec![1.0, 3.0, 3.0, 1.0],
            skip_rescale: true,
            resblock_type: ResBlockType::default(),
            progressive: ProgressiveOutput::default(),
            progressive_input: ProgressiveInput::default(),
            progressive_combine: Combine::default(),
            embedding_type: EmbeddingType::default(),
            fourier_scale: 16.0,
            not_use_tanh: false,
            nz: 100,
            z_emb_dim: 256,
        }
    }
}

impl GeneratorConfig {
    /// Sizes of the feature maps, from the picture's down.
    pub fn resolutions(&self) -> Vec<usize> {
        (0..self.ch_mult.len()).map(|level| self.image_size >> level).collect()
    }

    /// Errors say which option cannot work and what would. Widths that group norm cannot divide are found when the
    /// network is built.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("image_size", self.image_size),
            ("num_channels", self.num_channels),
            ("num_channels_dae", self.num_channels_dae),
            ("num_res_blocks", self.num_res_blocks),
            ("nz", self.nz),
            ("z_emb_dim", self.z_emb_dim),
            ("the number of entries of ch_mult", self.ch_mult.len()),
            ("the smallest entry of ch_mult", self.ch_mult.iter().copied().min().unwrap_or(0)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(Error::config(format!("{name} must be at least 1")));
        }
        let halvings = self.ch_mult.len() - 1;
        if self.image_size.trailing_zeros() < halvings as u32 {
            return Err(Error::config(format!(
                "image_size {} cannot be halved {halvings} times, which ch_mult {:?} asks for; use a multiple of {} or \
                 fewer levels",
                self.image_size,
                self.ch_mult,
                1_u64.checked_shl(halvings as u32).unwrap_or(u64::MAX),
            )));
        }
        let resolutions = self.resolutions();
        if let Some(missed) = self.attn_resolutions.iter().find(|r| !resolutions.contains(r)) {
            return Err(Error::config(format!(
                "attn_resolutions: no level has size {missed}; with image_size {} and {} levels there are {resolutions:?}",
                self.image_size,
                self.ch_mult.len(),
            )));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::config(format!("dropout must be at least 0 and below 1, got {}", self.dropout)));
        }
        if !(self.fourier_scale > 0.0 && self.fourier_scale.is_finite()) {
            return Err(Error::config(format!("fourier_scale must be positive, got {}", self.fourier_scale)));
        }
        if self.fir {
            let sum: f64 = self.fir_kernel.iter().sum();
            if self.fir_kernel.len() < 2 || !sum.is_finite() || sum == 0.0 {
                let kernel = &self.fir_kernel;
                return Err(Error::config(format!(
                    "fir_kernel needs at least 2 numbers whose sum is not 0, like [1, 3, 3, 1]; got {kernel:?}"
                )));
            }
        }
        Ok(())
    }
}
