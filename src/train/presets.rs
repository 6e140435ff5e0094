//! Configurations that are known to work, by name.

use super::TrainConfig;
use crate::diffusion::ScheduleConfig;
use crate::error::{Error, Result};
use crate::models::{DiscriminatorConfig, GeneratorConfig};

/// Every preset's name with a line about it; the first is the default.
pub const PRESETS: [(&str, &str); 3] = [
    ("digits", "drawn digits, no download: readable in minutes on two cores"),
    ("mnist", "MNIST, 32x32 grey: a small network for a CPU"),
    ("stackmnist", "three MNIST digits stacked into 1,000 classes: the published network, for a large machine"),
];

/// Errors: no such preset; lists those there are.
pub fn preset(name: &str) -> Result<TrainConfig> {
    match name {
        "digits" => Ok(TrainConfig { dataset: "digits".into(), ..small_grey() }),
        "mnist" => Ok(TrainConfig { dataset: "mnist".into(), num_epoch: 4, ema_decay: 0.995, ..small_grey() }),
        "stackmnist" => Ok(stackmnist()),
        _ => {
            let names = PRESETS.map(|(name, _)| name).join(", ");
            Err(Error::config(format!("there is no preset `{name}`; there are: {names}")))
        }
    }
}

/// 32x32 grey digits on a CPU, found by experiment.
fn small_grey() -> TrainConfig {
    TrainConfig {
        batch_size: 32,
        num_epoch: 1,
        lr_g: 2e-4,
        lr_d: 5e-4,
        r1_gamma: 0.05,
        lazy_reg: 5,
        ema_decay: 0.99,
        schedule: ScheduleConfig { num_timesteps: 2, ..Default::default() },
        generator: GeneratorConfig {
            num_channels: 1,
            num_channels_dae: 16,
            ch_mult: vec![1, 2, 2],
            num_res_blocks: 1,
            attn_resolutions: vec![],
            nz: 32,
            z_emb_dim: 64,
            n_mlp: 2,
            ..Default::default()
        },
        discriminator: DiscriminatorConfig { num_channels: 1, ngf: 12, t_emb_dim: 64, ..Default::default() },
        ..Default::default()
    }
}

/// The setting of a public report on stacked MNIST: the published CIFAR-10 network with its options, one process.
fn stackmnist() -> TrainConfig {
    TrainConfig {
        dataset: "stackmnist".into(),
        batch_size: 64,
        num_epoch: 100,
        lr_g: 1.6e-4,
        lr_d: 1.25e-4,
        r1_gamma: 0.02,
        lazy_reg: 15,
        generator: GeneratorConfig { n_mlp: 4, ..Default::default() },
        ..Default::default()
    }
}
