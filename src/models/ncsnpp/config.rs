//! Every option of the published generator, under its published name.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, check_range};

/// What the generator is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The published U-Net, for pictures.
    #[default]
    Ncsnpp,
    /// Linear layers of width `num_channels_dae`, for points: pictures of 1x1 whose coordinates are the channels. Of
    /// the other options it knows `image_size`, `num_channels`, `nz`, `conditional` and `not_use_tanh`.
    Mlp,
}

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
    pub network: Network,
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
    /// Numbers in z; 0 for a network without one: plain group norms in place of the adaptive ones, and no mapping.
    pub nz: usize,
    /// Width of the z mapping.
    pub z_emb_dim: usize,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        GeneratorConfig {
            network: Network::default(),
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
        // The upper ends are far beyond what anyone trains, and keep all arithmetic on sizes exact.
        let ranges = [
            ("generator.image_size", self.image_size, 1..=1 << 13),
            ("generator.num_channels", self.num_channels, 1..=256),
            ("generator.num_channels_dae", self.num_channels_dae, 1..=1 << 16),
            ("generator.num_res_blocks", self.num_res_blocks, 1..=256),
            ("generator.nz", self.nz, 0..=1 << 20),
            ("generator.z_emb_dim", self.z_emb_dim, 1..=1 << 20),
            ("generator.n_mlp", self.n_mlp, 0..=256),
        ];
        ranges.iter().try_for_each(|(key, value, range)| check_range(key, *value, range))?;
        match self.network {
            Network::Ncsnpp => self.check_levels()?,
            Network::Mlp if self.image_size != 1 => {
                return Err(Error::setting("generator.image_size", self.image_size, "1, a point, for an mlp"));
            }
            Network::Mlp => {}
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::setting("generator.dropout", self.dropout, "at least 0 and below 1"));
        }
        if !(self.fourier_scale > 0.0 && self.fourier_scale.is_finite()) {
            return Err(Error::setting("generator.fourier_scale", self.fourier_scale, "a positive number"));
        }
        let (kernel, sum) = (&self.fir_kernel, self.fir_kernel.iter().sum::<f64>());
        let largest = kernel.iter().fold(0.0_f64, |largest, tap| largest.max(tap.abs()));
        // The kernel is divided by its sum.
        if !((2..=32).contains(&kernel.len()) && sum.is_finite() && sum.abs() > 1e-6 * largest) {
            let expected = "2 to 32 numbers whose sum is not 0, like [1, 3, 3, 1]";
            return Err(Error::setting("generator.fir_kernel", format_args!("{kernel:?}"), expected));
        }
        Ok(())
    }

    fn check_levels(&self) -> Result<()> {
        let Self { image_size, ch_mult, attn_resolutions, .. } = self;
        if !(1..=14).contains(&ch_mult.len()) || ch_mult.iter().any(|multiple| !(1..=1024).contains(multiple)) {
            let expected = "1 to 14 numbers from 1 to 1024, like [1, 2, 2, 2]";
            return Err(Error::setting("generator.ch_mult", format_args!("{ch_mult:?}"), expected));
        }
        let halvings = ch_mult.len() - 1;
        if (image_size.trailing_zeros() as usize) < halvings {
            return Err(Error::config(format!(
                "generator.image_size {image_size} cannot be halved {halvings} times, which generator.ch_mult \
                 {ch_mult:?} asks for; use a multiple of {} or fewer levels",
                1 << halvings,
            )));
        }
        let resolutions = self.resolutions();
        if !attn_resolutions.iter().all(|r| resolutions.contains(r)) {
            let expected = format!("sizes of levels, which with image_size {image_size} are {resolutions:?}");
            return Err(Error::setting("generator.attn_resolutions", format_args!("{attn_resolutions:?}"), expected));
        }
        Ok(())
    }
}
