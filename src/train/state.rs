//! A training on disk: all that it takes to continue it.

use std::path::Path;

use super::stats::Interval;
use super::{Optimizer, TrainConfig, Trainer};
use crate::checkpoint::{self, Header, safetensors::Reader};
use crate::error::{Error, Result};
use crate::nn::Param;
use crate::ops::AdamState;
use crate::tensor::{Device, Tensor};

/// A training at one moment. The trainer may go on meanwhile: on a CPU it copies what it changes as long as this shares
/// it; on a GPU this is a copy, because recorded steps change tensors where they are.
pub struct Snapshot {
    header: Header<TrainConfig>,
    tensors: Vec<(String, Tensor)>,
}

impl Trainer {
    /// The networks, the average, both optimizers' moments and the counters. `epoch` is that of the next step.
    pub fn snapshot(&self, epoch: u64) -> Snapshot {
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        tensors.extend(checkpoint::entries(checkpoint::GENERATOR, self.generator.params()));
        if let Some(ema) = &self.ema {
            tensors.extend(checkpoint::entries(checkpoint::GENERATOR_EMA, ema.params()));
        }
        tensors.extend(checkpoint::entries(checkpoint::DISCRIMINATOR, self.discriminator.params()));
        let (generator, discriminator) = (self.generator.params(), self.discriminator.params());
        tensors.extend(moments(checkpoint::GENERATOR_ADAM, generator, self.generator_optimizer.states()));
        let (states, of_x0) = self.discriminator_optimizer.states().split_at(discriminator.len());
        tensors.extend(moments(checkpoint::DISCRIMINATOR_ADAM, discriminator, states));
        if let Some(network) = &self.x0_discriminator {
            tensors.extend(checkpoint::entries(checkpoint::X0_DISCRIMINATOR, network.params()));
            tensors.extend(moments(checkpoint::X0_DISCRIMINATOR_ADAM, network.params(), of_x0));
        }
        if self.device() != Device::Cpu {
            for (_, tensor) in &mut tensors {
                // Where there is no memory for it, it is shared, and the next step copies what it changes.
                *tensor = tensor.deep_clone().unwrap_or_else(|_| tensor.clone());
            }
        }
        let (config, seed, format) = (self.config.clone(), self.config.seed, checkpoint::FORMAT);
        let updates = [&self.generator_optimizer, &self.discriminator_optimizer].map(Optimizer::steps);
        let updates = Some(updates).filter(|updates| *updates != [self.step; 2]);
        Snapshot { header: Header { format, step: self.step, epoch, seed, pictures: None, updates, config }, tensors }
    }

    /// Becomes what a trainer of the same configuration was when it was saved. The losses since the last line of
    /// statistics.
    ///
    /// Errors: not a checkpoint, damaged, tensors that do not fit; the trainer must not be used then.
    pub fn restore(&mut self, path: &Path) -> Result<Interval> {
        let mut reader = Reader::open(path)?;
        let header: Header<TrainConfig> = Header::read(&reader)?;
        checkpoint::load(&mut reader, checkpoint::GENERATOR, self.generator.params())?;
        if let Some(ema) = &self.ema {
            checkpoint::load(&mut reader, checkpoint::GENERATOR_EMA, ema.params())?;
        }
        checkpoint::load(&mut reader, checkpoint::DISCRIMINATOR, self.discriminator.params())?;
        let states = read_moments(&mut reader, checkpoint::GENERATOR_ADAM, self.generator.params())?;
        let updates = header.updates.unwrap_or([header.step; 2]);
        self.generator_optimizer.restore(updates[0], states);
        let mut states = read_moments(&mut reader, checkpoint::DISCRIMINATOR_ADAM, self.discriminator.params())?;
        if let Some(network) = &self.x0_discriminator {
            checkpoint::load(&mut reader, checkpoint::X0_DISCRIMINATOR, network.params())?;
            states.extend(read_moments(&mut reader, checkpoint::X0_DISCRIMINATOR_ADAM, network.params())?);
        }
        self.discriminator_optimizer.restore(updates[1], states);
        self.step = header.step;
        // The first update of all is another one: it must not be recorded.
        self.kinds_done.clear();
        if !checkpoint::holds(&reader, checkpoint::INTERVAL) {
            return Ok(Interval::default());
        }
        let interval = Interval::from_tensor(&reader.read(checkpoint::INTERVAL)?);
        interval.ok_or_else(|| Error::format(path, format!("{} is not what it should be", checkpoint::INTERVAL)))
    }
}

impl Snapshot {
    /// With what a run remembers beside the trainer.
    pub(super) fn of_run(mut self, pictures: usize, interval: &Interval) -> Snapshot {
        self.header.pictures = Some(pictures as u64);
        self.tensors.push((checkpoint::INTERVAL.into(), interval.to_tensor()));
        self
    }

    /// Writes it atomically.
    ///
    /// Errors: numbers that are not finite, which nobody can continue from; the disk's.
    pub fn write(self, path: &Path) -> Result<()> {
        // Fetched once, and what is on a device is free again.
        let fetch = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(&Device::Cpu)?));
        let tensors: Vec<_> = self.tensors.into_iter().map(fetch).collect::<Result<_>>()?;
        match tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
            Some((name, _)) => {
                let what = format!("{name} has become infinite or NaN: the training has diverged");
                Err(Error::Training { step: self.header.step, what })
            }
            None => self.header.write(path, &tensors),
        }
    }
}

fn moments([m, v]: [&str; 2], params: &[Param], states: &[AdamState]) -> Vec<(String, Tensor)> {
    let entries = params.iter().zip(states).flat_map(|(param, state)| {
        [(format!("{m}{}", param.name()), state.m.clone()), (format!("{v}{}", param.name()), state.v.clone())]
    });
    entries.collect()
}

fn read_moments(reader: &mut Reader, [m, v]: [&str; 2], params: &[Param]) -> Result<Vec<AdamState>> {
    let (m, v) = (checkpoint::read(reader, m, params)?, checkpoint::read(reader, v, params)?);
    Ok(m.into_iter().zip(v).map(|(m, v)| AdamState { m, v }).collect())
}
