//! Trainings of the PyTorch implementation, continued here.

use std::path::Path;

use serde_json::Value as Json;

use super::{RunDir, TrainConfig, Trainer};
use crate::checkpoint::pth::{Content, Optimizer, Pth};
use crate::checkpoint::{self, Tensors};
use crate::error::{Error, Result};
use crate::models::{Discriminator, DiscriminatorConfig};
use crate::nn::Param;
use crate::ops::AdamState;
use crate::sample::{Known, Model, overlay};
use crate::tensor::{DType, Device, Tensor};

/// A training that was read from a `content.pth`.
pub struct Import {
    trainer: Trainer,
    epoch: u64,
    /// What there is to know about it, a sentence each.
    pub notes: Vec<String>,
}

/// Options that decide how a training goes on, which older versions of the published program may not have saved.
const TRAINING: [&str; 8] =
    ["dataset", "seed", "batch_size", "num_epoch", "r1_gamma", "lazy_reg", "ema_decay", "num_timesteps"];

impl Import {
    /// Reads a `content.pth`. What it does not tell of the configuration is as in `base`; `set` sets what the user asks
    /// for.
    ///
    /// Errors: not such a file, damaged, networks or optimizers that do not fit the options.
    pub fn read(path: &Path, base: &TrainConfig, set: &dyn Fn(&mut TrainConfig)) -> Result<Import> {
        let pth = Pth::open(path)?;
        let Some(content) = pth.content()? else {
            let what =
                "holds no training, which is in content.pth: import it without a run's folder, to sample from it";
            return Err(Error::format(path, what));
        };
        let average = content.average()?;
        let config = configuration(&content, average.is_some(), base, path, set)?;
        config.validate().map_err(|e| Error::format(path, format!("its options: {e}")))?;
        if config.x0_weight > 0.0 {
            return Err(Error::setting("x0_weight", config.x0_weight, "0: the file has no discriminator of x_0"));
        }

        let mut trainer = Trainer::new(&config, DType::F32, &Device::Cpu)?;
        let Content { mut generator, mut discriminator, generator_optimizer, discriminator_optimizer, .. } = content;
        checkpoint::load(&mut generator, "", trainer.generator.params())?;
        if let (Some(ema), Some(mut average)) = (&trainer.ema, average) {
            checkpoint::load(&mut average, "", ema.params())?;
        }
        checkpoint::load(&mut discriminator, "", trainer.discriminator.params())?;
        let states = moments(&generator_optimizer, trainer.generator.params())?;
        trainer.generator_optimizer.restore(generator_optimizer.steps, states);
        let states = moments(&discriminator_optimizer, trainer.discriminator.params())?;
        trainer.discriminator_optimizer.restore(discriminator_optimizer.steps, states);
        trainer.step = content.global_step;
        Ok(Import { trainer, epoch: content.epoch, notes: notes(&content.args, content.global_step, content.epoch) })
    }

    pub fn config(&self) -> &TrainConfig {
        self.trainer.config()
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.trainer.step
    }

    /// Makes the folder of a run that `ddgan train --resume` continues.
    ///
    /// Errors: a folder that is taken; numbers that are not finite; the disk's.
    pub fn save(&self, outdir: Option<&Path>, name: &str) -> Result<RunDir> {
        let dir = RunDir::create(outdir, name, self.config())?;
        self.trainer.snapshot(self.epoch).write(&checkpoint::path_of(dir.path(), self.step()))?;
        Ok(dir)
    }
}

fn configuration(
    content: &Content,
    averages: bool,
    base: &TrainConfig,
    path: &Path,
    set: &dyn Fn(&mut TrainConfig),
) -> Result<TrainConfig> {
    let Content { args, generator, discriminator, generator_optimizer, discriminator_optimizer, .. } = content;
    let mut config: TrainConfig = overlay(base, args, path)?;
    // Each process had a batch of its own.
    let processes = ["num_proc_node", "num_process_per_node"].map(|key| args.get(key).and_then(Json::as_u64));
    let processes = processes.into_iter().flatten().product::<u64>().max(1);
    config.batch_size = config.batch_size.saturating_mul(usize::try_from(processes).unwrap_or(usize::MAX));
    (config.lr_g, config.lr_d) = (generator_optimizer.lr, discriminator_optimizer.lr);
    [config.beta1, config.beta2] = generator_optimizer.betas;
    config.num_epoch = content.decay_epochs.unwrap_or(config.num_epoch);
    config.use_ema = averages;

    let model = Known::from_options(args, path)?.resolve(generator, &for_model(set))?;
    (config.schedule, config.generator) = (model.schedule, model.generator);
    config.discriminator = DiscriminatorConfig::infer(discriminator)?;
    set(&mut config);
    let outline = Discriminator::outline(&config.discriminator)?;
    checkpoint::check(discriminator, "", &outline)?;
    Ok(config)
}

/// What `set` does to a configuration, for the part of one that is a model.
pub fn for_model(set: &dyn Fn(&mut TrainConfig)) -> impl Fn(&mut Model) {
    move |model| {
        let Model { method, prediction, dataset, schedule, generator, .. } = model.clone();
        let mut config = TrainConfig { method, prediction, dataset, schedule, generator, ..Default::default() };
        set(&mut config);
        (model.method, model.prediction) = (config.method, config.prediction);
        (model.dataset, model.schedule, model.generator) = (config.dataset, config.schedule, config.generator);
    }
}

/// Adam's moments of each parameter; zeros for one that never had a gradient.
fn moments(optimizer: &Optimizer, params: &[Param]) -> Result<Vec<AdamState>> {
    let [m, v] = ["exp_avg", "exp_avg_sq"].map(|key| {
        let mut kept = optimizer.kept(key)?;
        let trained: Vec<Param> = params.iter().filter(|p| kept.shape(p.name()).is_some()).cloned().collect();
        let mut values = checkpoint::read(&mut kept, "", &trained)?.into_iter();
        let moment = |param: &Param| match kept.shape(param.name()) {
            Some(_) => values.next().expect("one for each that is kept").cast(DType::F32),
            None => Tensor::zeros(param.shape(), DType::F32, &Device::Cpu),
        };
        params.iter().map(moment).collect::<Result<Vec<Tensor>>>()
    });
    Ok(m?.into_iter().zip(v?).map(|(m, v)| AdamState { m, v }).collect())
}

fn notes(args: &serde_json::Map<String, Json>, step: u64, epoch: u64) -> Vec<String> {
    let mut notes = Vec::new();
    let missing: Vec<&str> = TRAINING.into_iter().filter(|key| !args.contains_key(*key)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        notes.push(format!("the file does not tell {missing}: as given, else as published; see config.toml"));
    }
    if let Some(steps) = step.checked_div(epoch) {
        notes.push(format!("{step} steps in {epoch} epochs: {steps} an epoch"));
    }
    notes
        .push("PyTorch's random state and order of pictures are not in the file: they begin anew from the seed".into());
    notes
}
