//! A discriminator for other programs. A generator is exported as it is sampled from: `sample::Source::save`.

use std::path::Path;

use serde::Serialize;

use super::TrainConfig;
use crate::checkpoint::safetensors::Reader;
use crate::checkpoint::{self, DISCRIMINATOR, Header};
use crate::error::{Error, Result};
use crate::models::discriminator::DiscriminatorSize;
use crate::models::{Discriminator, DiscriminatorConfig};
use crate::tensor::{DType, Device};

#[derive(Serialize)]
struct Model<'a> {
    discriminator: &'a DiscriminatorConfig,
}

/// Writes the discriminator of a training's checkpoint, under the published names, with its configuration.
///
/// Errors: no checkpoint of a training, damaged; the disk's.
pub fn export_discriminator(checkpoint: &Path, out: &Path) -> Result<()> {
    let mut reader = Reader::open(checkpoint)?;
    reader.verify()?;
    let Header { format, step, epoch, seed, config, .. }: Header<TrainConfig> = Header::read(&reader)?;
    let config = &config.discriminator;
    if config.size == DiscriminatorSize::None {
        return Err(Error::format(checkpoint, "is of a DDPM, which has no discriminator"));
    }
    checkpoint::check(&reader, DISCRIMINATOR, &Discriminator::outline(config)?)?;
    let discriminator = Discriminator::new(config, 0, DType::F32, &Device::Cpu)?;
    checkpoint::load(&mut reader, DISCRIMINATOR, discriminator.params())?;
    let tensors: Vec<_> = checkpoint::entries("", discriminator.params()).collect();
    let config = Model { discriminator: config };
    Header { format, step, epoch, seed, pictures: None, updates: None, config }.write(out, &tensors)
}
