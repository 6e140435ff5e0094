//! Everything that a training's result depends on, under the published names.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::losses::Loss;
use crate::data::picture::Filter;
use crate::diffusion::{Method, Prediction, Process, ScheduleConfig};
use crate::error::{Error, Result, check_range};
use crate::models::discriminator::DiscriminatorSize;
use crate::models::{DiscriminatorConfig, Generator, GeneratorConfig};
use crate::tensor::Precision;

/// The configuration of a training; the file `config.toml` of its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// What is trained. A DDPM has no discriminator, and the keys about one mean nothing to it.
    pub method: Method,
    /// What the generator's output is.
    pub prediction: Prediction,
    /// What generator and discriminator compete by.
    pub loss: Loss,
    /// RDUOT's tau: the cost of a number's way from x_{t+1} to x_0.
    pub uot_tau: f64,
    /// The weight, in the generator's loss, of a second discriminator, of x_0; 0 leaves it out.
    pub x0_weight: f64,
    /// The weight of the mean distance between x_0 and its prediction; 0 leaves it out.
    pub l1_weight: f64,
    /// The name of the data set.
    pub dataset: String,
    /// The folder that was asked to be searched for it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Whether pictures are mirrored at random; if not given, as is usual for the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flip: Option<bool>,
    /// The filter with which pictures of other sizes are resized.
    pub resize_filter: Filter,
    /// What the networks compute in.
    pub precision: Precision,
    /// Decides the first parameters, the order of the data, and all noise.
    pub seed: u64,
    pub batch_size: usize,
    /// Parts that a batch is computed in, one after another, to save memory. Their gradients are averaged; minibatch
    /// standard deviation is that of a part.
    pub grad_accum: usize,
    /// Passes over the data, and the length of the learning rates' decay.
    pub num_epoch: u64,
    /// Learning rates of the generator and of the discriminator in the first epoch.
    pub lr_g: f64,
    pub lr_d: f64,
    /// Keeps the learning rates as they are in the first epoch.
    pub no_lr_decay: bool,
    /// Adam's.
    pub beta1: f64,
    pub beta2: f64,
    /// The weight of the gradient penalty R1; 0 leaves it out.
    pub r1_gamma: f64,
    /// R1 is computed on every `lazy_reg`-th step.
    pub lazy_reg: u64,
    /// Whether the generator's parameters are averaged, for samples.
    pub use_ema: bool,
    pub ema_decay: f64,
    /// Steps between two lines of statistics.
    pub stats_every: u64,
    /// Steps between two grids of pictures, and the pictures in one.
    pub grid_every: u64,
    pub grid_pictures: usize,
    /// Steps between two checkpoints, and how many of them are kept.
    pub checkpoint_every: u64,
    pub keep_checkpoints: usize,
    /// Epochs between two checkpoints that are kept for good; 0 keeps none so.
    pub major_every: u64,
    pub schedule: ScheduleConfig,
    pub generator: GeneratorConfig,
    pub discriminator: DiscriminatorConfig,
}

/// The published defaults; `stats_every` and below are ours.
impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            method: Method::default(),
            prediction: Prediction::default(),
            loss: Loss::default(),
            uot_tau: 1e-3,
            x0_weight: 0.0,
            l1_weight: 0.0,
            dataset: "digits".into(),
            data_dir: None,
            flip: None,
            resize_filter: Filter::Bilinear,
            precision: Precision::F32,
            seed: 1024,
            batch_size: 128,
            grad_accum: 1,
            num_epoch: 1200,
            lr_g: 1.5e-4,
            lr_d: 1e-4,
            no_lr_decay: false,
            beta1: 0.5,
            beta2: 0.9,
            r1_gamma: 0.05,
            lazy_reg: 1,
            use_ema: true,
            ema_decay: 0.9999,
            stats_every: 50,
            grid_every: 500,
            grid_pictures: 64,
            checkpoint_every: 500,
            keep_checkpoints: 2,
            major_every: 25,
            schedule: ScheduleConfig::default(),
            generator: GeneratorConfig::default(),
            discriminator: DiscriminatorConfig::default(),
        }
    }
}

impl TrainConfig {
    /// The process that is trained on, and sampled with all of its steps. Errors: those of [`Process::of`].
    pub fn process(&self) -> Result<Process> {
        Process::of(self.method, self.prediction, &self.schedule)
    }

    /// Errors name the key, and what would work.
    pub fn validate(&self) -> Result<()> {
        // Numbers beyond these cannot be written to a TOML file.
        const MOST: u64 = i64::MAX as u64;
        let ranges = [
            ("seed", self.seed, 0..=MOST),
            ("batch_size", self.batch_size as u64, 1..=1 << 20),
            ("grad_accum", self.grad_accum as u64, 1..=self.batch_size as u64),
            ("num_epoch", self.num_epoch, 1..=MOST),
            ("lazy_reg", self.lazy_reg, 1..=MOST),
            ("stats_every", self.stats_every, 1..=MOST),
            ("grid_every", self.grid_every, 1..=MOST),
            ("grid_pictures", self.grid_pictures as u64, 1..=10_000),
            ("checkpoint_every", self.checkpoint_every, 1..=MOST),
            ("keep_checkpoints", self.keep_checkpoints as u64, 1..=MOST),
            ("major_every", self.major_every, 0..=MOST),
        ];
        ranges.iter().try_for_each(|(key, value, range)| check_range(key, *value, range))?;
        for (key, value) in [("lr_g", self.lr_g), ("lr_d", self.lr_d)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(key, value, "a positive number"));
            }
        }
        for (key, value) in [("beta1", self.beta1), ("beta2", self.beta2), ("ema_decay", self.ema_decay)] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::setting(key, value, "at least 0 and below 1"));
            }
        }
        let weights = [
            ("r1_gamma", self.r1_gamma),
            ("uot_tau", self.uot_tau),
            ("x0_weight", self.x0_weight),
            ("l1_weight", self.l1_weight),
        ];
        for (key, value) in weights {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::setting(key, value, "0 or a positive number"));
            }
        }
        self.process()?;
        Generator::outline(&self.generator)?;
        self.check_objectives()?;
        if self.method == Method::Ddpm {
            return self.check_ddpm();
        }
        if self.discriminator.size == DiscriminatorSize::None {
            let expected = "small (for 32x32), large (for 256x256) or mlp (for points): a GAN has a discriminator";
            return Err(Error::setting("discriminator.size", "none", expected));
        }
        // The discriminator sees what the generator makes.
        let (generator, discriminator) = (&self.generator, &self.discriminator);
        if generator.num_channels != discriminator.num_channels {
            let expected = format!("{} as generator.num_channels", generator.num_channels);
            return Err(Error::setting("discriminator.num_channels", discriminator.num_channels, expected));
        }
        let image_size = Some(generator.image_size);
        if let Some(other) = discriminator.image_size.filter(|_| discriminator.image_size != image_size) {
            let expected = format!("{} as generator.image_size, or nothing", generator.image_size);
            return Err(Error::setting("discriminator.image_size", other, expected));
        }
        DiscriminatorConfig { image_size, ..discriminator.clone() }.validate()
    }
}
