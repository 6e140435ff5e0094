//! The keys of a training's configuration as flags with a value.

use std::path::PathBuf;

use clap::Args;
use serde::de::DeserializeOwned;

use crate::data::NAMES;
use crate::data::picture::Filter;
use crate::models::discriminator::DiscriminatorSize;
use crate::models::ncsnpp::{Combine, EmbeddingType, Network, ProgressiveInput, ProgressiveOutput, ResBlockType};
use crate::train::TrainConfig;

/// What is given replaces the preset's value.
#[derive(Args)]
pub struct Options {
    #[arg(long, help_heading = "Data", value_name = "NAME", help = dataset_help())]
    pub dataset: Option<String>,
    /// Where to look for data, before $DDGAN_DATA and ./data
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Height and width of the pictures
    #[arg(long, help_heading = "Data", value_name = "N")]
    image_size: Option<usize>,
    /// Channels of the pictures
    #[arg(long, help_heading = "Data", value_name = "N")]
    num_channels: Option<usize>,
    /// The filter that pictures of other sizes are resized with: box, bilinear, bicubic or lanczos
    #[arg(long, help_heading = "Data", value_name = "FILTER", value_parser = variant::<Filter>)]
    resize_filter: Option<Filter>,

    /// Decides first parameters, order of the data, and all noise
    #[arg(long, help_heading = "Training", value_name = "N")]
    seed: Option<u64>,
    /// Pictures a step
    #[arg(long, help_heading = "Training", value_name = "N")]
    pub batch_size: Option<usize>,
    /// Passes over the data; the learning rates decay over them
    #[arg(long, help_heading = "Training", value_name = "N")]
    num_epoch: Option<u64>,
    /// Learning rate of the generator
    #[arg(long, help_heading = "Training", value_name = "X")]
    lr_g: Option<f64>,
    /// Learning rate of the discriminator
    #[arg(long, help_heading = "Training", value_name = "X")]
    lr_d: Option<f64>,
    /// Adam's decay of the first moment
    #[arg(long, help_heading = "Training", value_name = "X")]
    beta1: Option<f64>,
    /// Adam's decay of the second moment
    #[arg(long, help_heading = "Training", value_name = "X")]
    beta2: Option<f64>,
    /// Weight of the discriminator's gradient penalty R1; 0 leaves it out
    #[arg(long, help_heading = "Training", value_name = "X")]
    r1_gamma: Option<f64>,
    /// Compute R1 every N-th step
    #[arg(long, help_heading = "Training", value_name = "N")]
    lazy_reg: Option<u64>,
    /// What the average keeps of itself at each step
    #[arg(long, help_heading = "Training", value_name = "X")]
    ema_decay: Option<f64>,

    /// T, the number of denoising steps
    #[arg(long, help_heading = "Diffusion", value_name = "T")]
    num_timesteps: Option<usize>,
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

    /// Which one: small for 32x32, large for 256x256, mlp for points
    #[arg(long, help_heading = "Discriminator", value_name = "SIZE", value_parser = variant::<DiscriminatorSize>)]
    discriminator: Option<DiscriminatorSize>,
    /// Base width
    #[arg(long, help_heading = "Discriminator", value_name = "N")]
    ngf: Option<usize>,
    /// Width of the time embedding
    #[arg(long, help_heading = "Discriminator", value_name = "N")]
    t_emb_dim: Option<usize>,

    /// Steps between two lines of statistics
    #[arg(long, help_heading = "Output", value_name = "N")]
    stats_every: Option<u64>,
    /// Steps between two grids of pictures
    #[arg(long, help_heading = "Output", value_name = "N")]
    grid_every: Option<u64>,
    /// Pictures in a grid
    #[arg(long, help_heading = "Output", value_name = "N")]
    grid_pictures: Option<usize>,
    /// Steps between two checkpoints
    #[arg(long, help_heading = "Output", value_name = "N")]
    checkpoint_every: Option<u64>,
    /// Checkpoints that are kept
    #[arg(long, help_heading = "Output", value_name = "N")]
    keep_checkpoints: Option<usize>,
    /// Epochs between two checkpoints that are kept for good; 0 keeps none so
    #[arg(long, help_heading = "Output", value_name = "N")]
    major_every: Option<u64>,
}

/// `set!(flags => keys; a, b)` is `if flags.a is given { keys.a = it }`, and the same for b.
macro_rules! set {
    ($flags:expr => $keys:expr; $($key:ident),* $(,)?) => {
        $(if let Some(value) = &$flags.$key { $keys.$key = value.clone(); })*
    };
}

impl Options {
    /// Writes what was given over the values of a preset.
    pub fn apply(&self, config: &mut TrainConfig) {
        set!(self => config; dataset, resize_filter, seed, batch_size, num_epoch, lr_g, lr_d, beta1, beta2, r1_gamma, lazy_reg,
            ema_decay, stats_every, grid_every, grid_pictures, checkpoint_every, keep_checkpoints, major_every);
        set!(self => config.schedule; num_timesteps, beta_min, beta_max);
        set!(self => config.generator; network, image_size, num_channels, num_channels_dae, ch_mult, num_res_blocks,
            attn_resolutions, nz, z_emb_dim, n_mlp, resblock_type, progressive, progressive_input,
            progressive_combine, embedding_type, fourier_scale, fir_kernel, dropout);
        set!(self => config.discriminator; num_channels, ngf, t_emb_dim);
        if let Some(size) = self.discriminator {
            config.discriminator.size = size;
        }
        if self.data_dir.is_some() {
            config.data_dir = self.data_dir.clone();
        }
    }
}

fn dataset_help() -> String {
    let names = NAMES.join(", ");
    format!(
        "The data set: {names}, or a path as for `folder`, a folder or zip file of pictures. Without a preset, the \
         published program's defaults for it"
    )
}

/// Parses a value that is one of a few names, with the error that lists them.
fn variant<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|e| e.to_string())
}
