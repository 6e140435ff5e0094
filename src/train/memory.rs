//! How much memory a training takes, told from its configuration before anything is allocated.

use super::TrainConfig;
use crate::error::{Error, Result};
use crate::models::discriminator::Discriminator;
use crate::models::{DiscriminatorConfig, Generator, GeneratorConfig};
use crate::tensor::{Device, DeviceMemory, Precision};
use crate::{nn, system};

/// The size of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// Numbers in the generator's parameters.
    pub generator: u128,
    /// Numbers in the discriminators' parameters.
    pub discriminator: u128,
    /// What a training step holds at most, estimated, in bytes.
    pub bytes: f64,
    /// Of that, what does not depend on the batch, and what each picture of it takes.
    bytes_fixed: f64,
    bytes_a_picture: f64,
}

/// Bytes of a number.
const F32: f64 = 4.0;
/// A residual block keeps about four feature maps for its gradient: its input, both convolutions' inputs, and its sum.
const MAPS_PER_BLOCK: f64 = 4.0;
/// Gradients in flight and buffers of the kernels, as a share of what is kept: with it the estimate was within 10% of
/// the measured peaks of trainings on a CPU, 1883 MiB (width 128, batch 16) and 1136 MiB (width 32, batch 64).
const IN_FLIGHT: f64 = 1.3;

impl Footprint {
    /// Errors: a configuration that cannot work.
    pub fn of(config: &TrainConfig) -> Result<Footprint> {
        let generator = nn::count(&Generator::outline(&config.generator)?);
        let discriminators = if config.x0_weight > 0.0 { 2 } else { 1 };
        let discriminator = discriminators * nn::count(&Discriminator::outline(&config.discriminator)?);
        // Beside each parameter: its gradient, Adam's two moments, and the average.
        let generator_copies = if config.use_ema { 5.0 } else { 4.0 };
        let parameters = generator_copies * generator as f64 + 4.0 * discriminator as f64;
        let size = config.generator.image_size as f64;
        let maps = generator_maps(&config.generator) + discriminator_maps(&config.discriminator, size);
        let number = match config.precision {
            Precision::F32 => F32,
            Precision::Bf16 => F32 / 2.0,
        };
        let (bytes_fixed, bytes_a_picture) = (F32 * parameters, number * IN_FLIGHT * maps);
        let at_once = config.batch_size.div_ceil(config.grad_accum) as f64;
        let bytes = bytes_fixed + at_once * bytes_a_picture;
        Ok(Footprint { generator, discriminator, bytes, bytes_fixed, bytes_a_picture })
    }

    /// What to change in a training whose step does not fit into so many bytes of a device.
    pub(super) fn smaller_batch(config: &TrainConfig, room: usize) -> String {
        let at_once = config.batch_size.div_ceil(config.grad_accum);
        let pictures = |of: Footprint| ((room as f64 - of.bytes_fixed) / of.bytes_a_picture).max(0.0) as usize;
        let estimate = Footprint::of(config).map_or(0, pictures);
        // It is an estimate; and others may use the device too.
        match if estimate < at_once { estimate } else { at_once / 2 } {
            0 => "not even a single picture at a time would fit: it takes smaller networks".into(),
            fits => format!(
                "about {fits} pictures at once would fit: --batch-size {fits}, or the same batch in parts with \
                 --grad-accum {}",
                config.batch_size.div_ceil(fits)
            ),
        }
    }

    /// `bytes` for people to read.
    pub fn memory(&self) -> String {
        gib(self.bytes)
    }

    /// Errors: a training for which the device, or for a CPU the machine, has not the memory; says what would make it
    /// smaller.
    pub fn check(&self, config: &TrainConfig, device: &Device) -> Result<()> {
        if let Some(DeviceMemory { free, total }) = device.memory()? {
            if self.bytes <= free as f64 {
                return Ok(());
            }
            return Err(Error::config(format!(
                "this training needs about {} of memory and {device} has {} free, of {}; {}",
                gib(self.bytes),
                gib(free as f64),
                gib(total as f64),
                Footprint::smaller_batch(config, free),
            )));
        }
        let Some(total) = machine_memory() else { return Ok(()) };
        if self.bytes <= total as f64 {
            return Ok(());
        }
        Err(Error::config(format!(
            "this training (batch_size {}, grad_accum {}) needs about {} of memory and the machine has {}; {}. The \
             networks have {} and {} million parameters: generator.num_channels_dae, generator.ch_mult and \
             discriminator.ngf make them smaller",
            config.batch_size,
            config.grad_accum,
            gib(self.bytes),
            gib(total as f64),
            Footprint::smaller_batch(config, total as usize),
            self.generator / 1_000_000,
            self.discriminator / 1_000_000,
        )))
    }
}

impl std::fmt::Display for Footprint {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "generator {:.2} million parameters", self.generator as f64 / 1e6)?;
        if self.discriminator > 0 {
            write!(f, ", discriminator {:.2} million", self.discriminator as f64 / 1e6)?;
        }
        write!(f, "; about {} of memory", self.memory())
    }
}

fn gib(bytes: f64) -> String {
    match bytes / (1_u64 << 30) as f64 {
        gib if gib < 0.05 => format!("{:.0} MiB", 1024.0 * gib),
        gib if gib < 10.0 => format!("{gib:.1} GiB"),
        gib => format!("{gib:.0} GiB"),
    }
}

/// Numbers that the generator keeps for the gradients of one picture.
fn generator_maps(config: &GeneratorConfig) -> f64 {
    let levels = config.resolutions().into_iter().zip(&config.ch_mult);
    let level = |(size, multiple): (usize, &usize)| {
        let map = (size * size) as f64 * (config.num_channels_dae * multiple) as f64;
        // Down, up, and two that resize; the blocks of the way up also have the concatenation of two maps.
        let blocks = config.num_res_blocks as f64;
        map * (MAPS_PER_BLOCK * (2.0 * blocks + 3.0) + 2.0 * (blocks + 1.0))
    };
    levels.map(level).sum()
}

/// The same of the discriminator.
fn discriminator_maps(config: &DiscriminatorConfig, mut size: f64) -> f64 {
    let mut maps = 0.0;
    for &(multiple, halves) in config.blocks() {
        maps += MAPS_PER_BLOCK * size * size * (multiple * config.ngf) as f64;
        size /= if halves { 2.0 } else { 1.0 };
    }
    maps
}

/// The memory of this machine in bytes, with what it can swap; `None` where the system does not tell.
pub fn machine_memory() -> Option<u64> {
    let memory = system::memory()?;
    Some(memory.total + memory.swap)
}
