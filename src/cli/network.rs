//! The keys of a schedule and of a generator as flags.

use clap::Args;
use serde::de::DeserializeOwned;

use super::switches::NetworkSwitches;
use crate::diffusion::ScheduleKind;
use crate::models::ncsnpp::{Combine, EmbeddingType, Network, ProgressiveInput, ProgressiveOutput, ResBlockType};
use crate::train::TrainConfig;

/// What is given replaces what a preset, a file or a checkpoint says.
#[derive(Args)]
pub struct NetworkOptions {
    /// Height and width of the pictures
    #[arg(long, help_heading = "Data", value_name = "N")]
    image_size: Option<usize>,
    /// Channels of the pictures
    #[arg(long, help_heading = "Data", value_name = "N")]
    pub num_channels: Option<usize>,

    /// T, the number of denoising steps
    #[arg(long, help_heading = "Diffusion", value_name = "T")]
    num_timesteps: Option<usize>,
    /// Where the noise of the steps comes from: continuous, as published, linear or cosine
    #[arg(long, help_heading = "Diffusion", value_name = "KIND", value_parser = variant::<ScheduleKind>)]
    schedule: Option<ScheduleKind>,
    /// Noise at the start of the schedule
    #[arg(long, help_heading = "Diffusion", value_name = "X")]
    beta_min: Option<f64>,
    /// Noise at the end of the schedule
    #[arg(long, help_heading = "Diffusion", value_name = "X")]
    beta_max: Option<f64>,

    /// What it is made of: ncsnpp, or mlp for points
    #[arg(long, help_heading = "Generator", value_name = "TYPE", value_parser = variant::<Network>)]
    network: Option<Network>,
    /// Base width
    #[arg(long, help_heading = "Generator", value_name = "N")]
    num_channels_dae: Option<usize>,
    /// Width of each level as a multiple of the base width
    #[arg(long, help_heading = "Generator", value_name = "N", num_args = 1..)]
    ch_mult: Option<Vec<usize>>,
    /// Residual blocks a level
    #[arg(long, help_heading = "Generator", value_name = "N")]
    num_res_blocks: Option<usize>,
    /// Sizes of feature maps that have attention; none if no number follows
    #[arg(long, help_heading = "Generator", value_name = "N", num_args = 0..)]
    attn_resolutions: Option<Vec<usize>>,
    /// Numbers in the latent z
    #[arg(long, help_heading = "Generator", value_name = "N")]
    nz: Option<usize>,
    /// Width of the z mapping
    #[arg(long, help_heading = "Generator", value_name = "N")]
    z_emb_dim: Option<usize>,
    /// Layers of the z mapping after its first
    #[arg(long, help_heading = "Generator", value_name = "N")]
    n_mlp: Option<usize>,
    /// Residual blocks: biggan, biggan_oneadagn or ddpm
    #[arg(long, help_heading = "Generator", value_name = "TYPE", value_parser = variant::<ResBlockType>)]
    resblock_type: Option<ResBlockType>,
    /// How the picture is put together: none, output_skip or residual
    #[arg(long, help_heading = "Generator", value_name = "TYPE", value_parser = variant::<ProgressiveOutput>)]
    progressive: Option<ProgressiveOutput>,
    /// How smaller inputs enter: none, input_skip or residual
    #[arg(long, help_heading = "Generator", value_name = "TYPE", value_parser = variant::<ProgressiveInput>)]
    progressive_input: Option<ProgressiveInput>,
    /// How input_skip combines: sum or cat
    #[arg(long, help_heading = "Generator", value_name = "TYPE", value_parser = variant::<Combine>)]
    progressive_combine: Option<Combine>,
    /// How the time enters: positional or fourier
    #[arg(long, help_heading = "Generator", value_name = "TYPE", value_parser = variant::<EmbeddingType>)]
    embedding_type: Option<EmbeddingType>,
    /// Standard deviation of the Fourier frequencies
    #[arg(long, help_heading = "Generator", value_name = "X")]
    fourier_scale: Option<f64>,
    /// The kernel that resizing smooths with
    #[arg(long, help_heading = "Generator", value_name = "X", num_args = 1..)]
    fir_kernel: Option<Vec<f64>>,
    /// Probability of dropping a feature inside a residual block
    #[arg(long, help_heading = "Generator", value_name = "X")]
    dropout: Option<f64>,
    #[command(flatten)]
    pub switches: NetworkSwitches,
}

/// `set!(flags => keys; a, b)` is `if flags.a is given { keys.a = it }`, and the same for b.
macro_rules! set {
    ($flags:expr => $keys:expr; $($key:ident),* $(,)?) => {
        $(if let Some(value) = &$flags.$key { $keys.$key = value.clone(); })*
    };
}
pub(super) use set;

impl NetworkOptions {
    /// Writes what was given over a configuration's schedule and generator.
    pub fn apply(&self, config: &mut TrainConfig) {
        set!(self => config.schedule; num_timesteps, beta_min, beta_max);
        if let Some(kind) = self.schedule {
            config.schedule.kind = kind;
        }
        set!(self => config.generator; network, image_size, num_channels, num_channels_dae, ch_mult, num_res_blocks,
            attn_resolutions, nz, z_emb_dim, n_mlp, resblock_type, progressive, progressive_input,
            progressive_combine, embedding_type, fourier_scale, fir_kernel, dropout);
        self.switches.apply(config);
    }
}

/// Parses a value that is one of a few names, with the error that lists them.
pub fn variant<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|e| e.to_string())
}
