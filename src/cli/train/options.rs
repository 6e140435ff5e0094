//! The keys of a training's configuration as flags with a value.

use std::path::PathBuf;

use clap::Args;

use crate::cli::network::{NetworkOptions, set, variant};
use crate::data::NAMES;
use crate::data::picture::Filter;
use crate::diffusion::Prediction;
use crate::models::discriminator::DiscriminatorSize;
use crate::tensor::Precision;
use crate::train::TrainConfig;
use crate::train::losses::Loss;

/// What is given replaces the preset's value.
#[derive(Args)]
pub struct Options {
    #[arg(long, help_heading = "Data", value_name = "NAME", help = dataset_help())]
    pub dataset: Option<String>,
    /// Where to look for data, before $DDGAN_DATA and ./data
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The filter that pictures of other sizes are resized with: box, bilinear, bicubic or lanczos
    #[arg(long, help_heading = "Data", value_name = "FILTER", value_parser = variant::<Filter>)]
    resize_filter: Option<Filter>,

    /// What the networks compute in: f32, or bf16 on a GPU (parameters, losses and checkpoints stay f32)
    #[arg(long, help_heading = "Training", value_name = "TYPE", value_parser = variant::<Precision>)]
    precision: Option<Precision>,
    /// Decides first parameters, order of the data, and all noise
    #[arg(long, help_heading = "Training", value_name = "N")]
    seed: Option<u64>,
    /// Pictures a step
    #[arg(long, help_heading = "Training", value_name = "N")]
    pub batch_size: Option<usize>,
    /// Compute a batch in N parts, one after another, which takes less memory
    #[arg(long, help_heading = "Training", value_name = "N")]
    grad_accum: Option<usize>,
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

    /// What the generator's output is: x0, previous (x_t itself) or noise
    #[arg(long, help_heading = "Objectives", value_name = "WHAT", value_parser = variant::<Prediction>)]
    prediction: Option<Prediction>,
    /// What generator and discriminator compete by: non_saturating or rduot, unbalanced optimal transport
    #[arg(long, help_heading = "Objectives", value_name = "LOSS", value_parser = variant::<Loss>)]
    loss: Option<Loss>,
    /// RDUOT's cost of the way from x_{t+1} to x_0
    #[arg(long, help_heading = "Objectives", value_name = "X")]
    uot_tau: Option<f64>,
    /// Weight of a second discriminator, of x_0
    #[arg(long, help_heading = "Objectives", value_name = "X")]
    x0_weight: Option<f64>,
    /// Weight of the mean distance between x_0 and its prediction
    #[arg(long, help_heading = "Objectives", value_name = "X")]
    l1_weight: Option<f64>,

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

    /// Which one: small for 32x32, large for 256x256, mlp for points
    #[arg(long, help_heading = "Discriminator", value_name = "SIZE", value_parser = variant::<DiscriminatorSize>)]
    discriminator: Option<DiscriminatorSize>,
    /// Base width
    #[arg(long, help_heading = "Discriminator", value_name = "N")]
    ngf: Option<usize>,
    /// Width of the time embedding
    #[arg(long, help_heading = "Discriminator", value_name = "N")]
    t_emb_dim: Option<usize>,

    // Last, so that the help ends with the flags that are there for the published commands.
    #[command(flatten)]
    pub network: NetworkOptions,
}

impl Options {
    /// Writes what was given over the values of a preset.
    pub fn apply(&self, config: &mut TrainConfig) {
        set!(self => config; dataset, resize_filter, precision, seed, batch_size, grad_accum, num_epoch, lr_g, lr_d,
            beta1, beta2, r1_gamma, lazy_reg, prediction, loss, uot_tau, x0_weight, l1_weight, ema_decay,
            stats_every, grid_every, grid_pictures, checkpoint_every, keep_checkpoints, major_every);
        self.network.apply(config);
        set!(self => config.discriminator; ngf, t_emb_dim);
        // The discriminator sees what the generator makes.
        set!(self.network => config.discriminator; num_channels);
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
