//! A training on disk: all that it takes to continue it.

use std::path::Path;

use super::{Optimizer, TrainConfig, Trainer};
use crate::checkpoint::{self, Header, safetensors::Reader};
use crate::error::Result;
use crate::nn::Param;
use crate::ops::AdamState;
use crate::tensor::Tensor;

impl Trainer {
    /// Writes the networks, the average, both optimizers' moments and the counters, atomically.
    pub fn save(&self, path: &Path, epoch: u64) -> Result<()> {
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        tensors.extend(checkpoint::entries(checkpoint::GENERATOR, self.generator.params()));
        if let Some(ema) = &self.ema {
            tensors.extend(checkpoint::entries(checkpoint::GENERATOR_EMA, ema.params()));
        }
        tensors.extend(checkpoint::entries(checkpoint::DISCRIMINATOR, self.discriminator.params()));
        tensors.extend(moments(checkpoint::GENERATOR_ADAM, self.generator.params(), &self.generator_optimizer));
        tensors.extend(moments(
            checkpoint::DISCRIMINATOR_ADAM,
            self.discriminator.params(),
            &self.discriminator_optimizer,
        ));
        let (config, seed, format) = (self.config.clone(), self.config.seed, checkpoint::FORMAT);
        Header { format, step: self.step, epoch, seed, config }.write(path, &tensors)
    }

    /// Becomes what a trainer of the same configuration was when it was saved.
    ///
    /// Errors: not a checkpoint, damaged, tensors that do not fit; the trainer must not be used then.
    pub fn restore(&mut self, path: &Path) -> Result<()> {
        let mut reader = Reader::open(path)?;
        let header: Header<TrainConfig> = Header::read(&reader)?;
        checkpoint::load(&mut reader, checkpoint::GENERATOR, self.generator.params())?;
        if let Some(ema) = &self.ema {
            checkpoint::load(&mut reader, checkpoint::GENERATOR_EMA, ema.params())?;
        }
        checkpoint::load(&mut reader, checkpoint::DISCRIMINATOR, self.discriminator.params())?;
        let states = read_moments(&mut reader, checkpoint::GENERATOR_ADAM, self.generator.params())?;
        self.generator_optimizer.restore(header.step, states);
        let states = read_moments(&mut reader, checkpoint::DISCRIMINATOR_ADAM, self.discriminator.params())?;
        self.discriminator_optimizer.restore(header.step, states);
        self.step = header.step;
        Ok(())
    }
}

fn moments([m, v]: [&str; 2], params: &[Param], optimizer: &Optimizer) -> Vec<(String, Tensor)> {
    let entries = params.iter().zip(optimizer.states()).flat_map(|(param, state)| {
        [(format!("{m}{}", param.name()), state.m.clone()), (format!("{v}{}", param.name()), state.v.clone())]
    });
    entries.collect()
}

fn read_moments(reader: &mut Reader, [m, v]: [&str; 2], params: &[Param]) -> Result<Vec<AdamState>> {
    let (m, v) = (checkpoint::read(reader, m, params)?, checkpoint::read(reader, v, params)?);
    Ok(m.into_iter().zip(v).map(|(m, v)| AdamState { m, v }).collect())
}
