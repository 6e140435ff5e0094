//! Configurations by name: presets that are known to work, and the published program's defaults.

use super::TrainConfig;
use crate::diffusion::ScheduleConfig;
use crate::error::{Error, Result};
use crate::models::discriminator::DiscriminatorSize;
use crate::models::ncsnpp::Network;
use crate::models::{DiscriminatorConfig, GeneratorConfig};

/// Every preset's name with a line about it; the first is the default.
pub const PRESETS: [(&str, &str); 9] = [
    ("digits", "drawn digits, no download: readable in minutes on two cores"),
    ("mnist", "MNIST, 32x32 grey: a small network for a CPU"),
    ("stackmnist", "three stacked MNIST digits, 1,000 classes: the published network of CIFAR-10"),
    ("cifar10", "CIFAR-10, 32x32: the published training, batch 256 in one process"),
    ("celeba256", "CelebA-HQ, 256x256: the published training, batch 32 in one process"),
    ("lsun256", "LSUN church, 256x256: the published training, batch 64 in one process"),
    ("gaussians25", "points of 25 Gaussians on a grid, no download"),
    ("ring8", "points of 8 Gaussians on a circle: the same networks"),
    ("swissroll", "points of a spiral: the same networks"),
];

/// Errors: no such preset; lists those there are.
pub fn preset(name: &str) -> Result<TrainConfig> {
    match name {
        "digits" => Ok(TrainConfig { dataset: "digits".into(), batch_size: 16, ..small_grey() }),
        "mnist" => Ok(TrainConfig { dataset: "mnist".into(), num_epoch: 4, ema_decay: 0.995, ..small_grey() }),
        "stackmnist" => Ok(stackmnist()),
        "cifar10" => Ok(cifar10()),
        "celeba256" => Ok(celeba256()),
        "lsun256" => Ok(lsun256()),
        "gaussians25" | "ring8" | "swissroll" => Ok(TrainConfig { dataset: name.into(), ..plane() }),
        _ => {
            let names = PRESETS.map(|(name, _)| name).join(", ");
            Err(Error::config(format!("there is no preset `{name}`; there are: {names}")))
        }
    }
}

/// The first preset for a data set, and its name for people to read; for another data set, the defaults.
pub fn preset_for(dataset: &str) -> (TrainConfig, String) {
    let presets = PRESETS.iter().map(|(name, _)| (preset(name).expect("it is listed"), name));
    match presets.into_iter().find(|(config, _)| config.dataset == dataset) {
        Some((config, name)) => (config, format!("preset {name}")),
        None => (TrainConfig { dataset: dataset.into(), ..Default::default() }, "the defaults".into()),
    }
}

/// What the published program starts from for its data sets; `None` for others. It averages only with `--use_ema`.
/// What it leaves to flags without which its 256x256 data sets cannot work (size, depth, which discriminator) is as in
/// its commands.
pub fn published_defaults(dataset: &str) -> Option<TrainConfig> {
    let defaults = TrainConfig { dataset: dataset.into(), use_ema: false, ..Default::default() };
    match dataset {
        // No published command tells which epochs of it to keep; the report that trained on it samples from epoch 60.
        "stackmnist" => Some(TrainConfig { major_every: 20, ..defaults }),
        "cifar10" => Some(defaults),
        "celeba_256" | "lsun" => {
            let (mut generator, discriminator) = networks_256();
            generator.num_channels_dae = defaults.generator.num_channels_dae;
            Some(TrainConfig { generator, discriminator, ..defaults })
        }
        _ => None,
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
    TrainConfig { dataset: "stackmnist".into(), batch_size: 64, num_epoch: 100, ..cifar10() }
}

/// The published command: 4 processes of batch 64. The paper's appendix has a batch of 128 for 400,000 steps (the
/// command makes 351,000), nz 256, z_emb_dim 512, n_mlp 2, lr_d 1e-4 and r1_gamma 0.05.
fn cifar10() -> TrainConfig {
    TrainConfig {
        dataset: "cifar10".into(),
        batch_size: 256,
        num_epoch: 1800,
        lr_g: 1.6e-4,
        lr_d: 1.25e-4,
        r1_gamma: 0.02,
        lazy_reg: 15,
        generator: GeneratorConfig { n_mlp: 4, ..Default::default() },
        ..Default::default()
    }
}

/// The published command: 8 processes of batch 4. The paper's appendix has n_mlp 2, lr_g 1.6e-4, r1_gamma 1, ema_decay
/// 0.999 and 750,000 steps (the command makes 674,000).
fn celeba256() -> TrainConfig {
    let (generator, discriminator) = networks_256();
    TrainConfig {
        dataset: "celeba_256".into(),
        batch_size: 32,
        num_epoch: 800,
        lr_g: 2e-4,
        r1_gamma: 2.0,
        lazy_reg: 10,
        schedule: ScheduleConfig { num_timesteps: 2, ..Default::default() },
        generator,
        discriminator,
        ..Default::default()
    }
}

/// The published command: 8 processes of batch 8. The paper's appendix has n_mlp 2, lr_g 2e-4 and 600,000 steps (the
/// command makes 937,000), and prints a base width of 128, which its authors have called a mistake.
fn lsun256() -> TrainConfig {
    TrainConfig {
        dataset: "lsun".into(),
        batch_size: 64,
        num_epoch: 500,
        lr_g: 1.6e-4,
        r1_gamma: 1.0,
        ema_decay: 0.999,
        schedule: ScheduleConfig::default(),
        ..celeba256()
    }
}

/// For pictures of 256x256.
fn networks_256() -> (GeneratorConfig, DiscriminatorConfig) {
    let ch_mult = vec![1, 1, 2, 2, 4, 4];
    let generator = GeneratorConfig { image_size: 256, num_channels_dae: 64, ch_mult, ..Default::default() };
    (generator, DiscriminatorConfig { size: DiscriminatorSize::Large, ..Default::default() })
}

/// Points in the plane: networks and batch of the published experiment on 25 Gaussians (appendix C), which trains for
/// 50,000 steps.
fn plane() -> TrainConfig {
    TrainConfig {
        batch_size: 512,
        num_epoch: 30,
        lr_g: 1e-3,
        lr_d: 2e-3,
        r1_gamma: 5e-4,
        lazy_reg: 5,
        ema_decay: 0.999,
        grid_pictures: 4096,
        grid_every: 1000,
        checkpoint_every: 1000,
        generator: GeneratorConfig {
            network: Network::Mlp,
            image_size: 1,
            num_channels: 2,
            num_channels_dae: 512,
            nz: 4,
            not_use_tanh: true,
            ..Default::default()
        },
        // Its first step leaves neighbouring modes apart, and the others have about as much left to decide; the default
        // one has noise of 0.7 after its first step, which is the distance between modes.
        schedule: ScheduleConfig { use_geometric: true, beta_min: 1e-3, beta_max: 0.999, ..Default::default() },
        discriminator: DiscriminatorConfig {
            size: DiscriminatorSize::Mlp,
            num_channels: 2,
            ngf: 512,
            t_emb_dim: 8,
            ..Default::default()
        },
        ..Default::default()
    }
}
