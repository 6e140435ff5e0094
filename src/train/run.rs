//! A whole training: data, steps, what is written on the way, and the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::progress::{Limits, Progress};
use super::stats::{Interval, MeanLosses, peak_memory_mib};
use super::{Footprint, RunDir, Stats, TrainConfig, Trainer, cosine_annealing};
use crate::checkpoint;
use crate::data::{self, Batch, DataSpec, Dataset, Loader, LoaderOptions};
use crate::error::{Error, Result};
use crate::sample::{self, Pictures};
use crate::tensor::{DType, Device, Tensor};

/// What a run is asked beside its configuration.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The run's folder; the next free `runs/NNNNN-<name>` if not given.
    pub outdir: Option<PathBuf>,
    /// What the run is called in the folder's name.
    pub name: String,
    /// Ends the training early.
    pub max_steps: Option<u64>,
    pub max_time: Option<Duration>,
}

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Finished {
    pub folder: PathBuf,
    /// The grid of pictures at the end.
    pub samples: PathBuf,
    /// Steps done.
    pub steps: u64,
}

const DTYPE: DType = DType::F32;
const DEVICE: Device = Device::Cpu;

/// Trains until the last epoch, or until a limit of the options, and saves the result.
///
/// Errors: a configuration that cannot work, data that is not there, a folder that is taken, the disk's, a loss that
/// is not finite. What was saved before stays.
pub fn run(config: &TrainConfig, options: &RunOptions) -> Result<Finished> {
    let mut run = Run::start(config, options)?;
    let mut batch = Batch::default();
    while !run.limits.reached(run.trainer.step_number(), run.started.elapsed()) {
        run.step(&mut batch)?;
    }
    run.finish()
}

struct Run {
    trainer: Trainer,
    loader: Loader,
    image: [usize; 3],
    dir: RunDir,
    progress: Progress,
    limits: Limits,
    started: Instant,
    /// Since the last line of statistics.
    interval: Interval,
    interval_started: Instant,
    epoch: u64,
}

impl Run {
    fn start(config: &TrainConfig, options: &RunOptions) -> Result<Run> {
        let started = Instant::now();
        config.validate()?;
        let footprint = Footprint::of(config)?;
        footprint.check(config)?;
        let data = open_data(config)?;
        let trainer = Trainer::new(config, DTYPE, &DEVICE)?;
        let flip = config.flip.unwrap_or(data.flip_by_default());
        let loader = LoaderOptions { batch_size: config.batch_size, seed: config.seed, flip, threads: 0 };
        let loader = Loader::new(data.clone(), loader, trainer.step_number())?;
        let dir = RunDir::create(options.outdir.as_deref(), &options.name)?;
        dir.write_config(config)?;

        let all_steps = config.num_epoch.saturating_mul(loader.batches_per_epoch());
        let steps = options.max_steps.map_or(all_steps, |max| max.min(all_steps));
        let limits = Limits { steps, time: options.max_time };
        let progress = Progress::new(limits, started);
        progress.note(&introduction(&dir, &*data, &footprint));
        let shape = data.shape();
        Ok(Run {
            trainer,
            loader,
            image: [shape.height, shape.width, shape.channels],
            dir,
            progress,
            limits,
            started,
            interval: Interval::default(),
            interval_started: Instant::now(),
            epoch: 0,
        })
    }

    fn step(&mut self, batch: &mut Batch) -> Result<()> {
        self.loader.next(batch)?;
        self.epoch = batch.epoch;
        let [height, width, channels] = self.image;
        let real = Tensor::from_f32(&batch.images, [batch.len(), height, width, channels]);
        let losses = self.trainer.step(&self.trainer.draw_inputs(real)?, self.learning_rates())?;
        self.interval.add(&losses, batch.len());

        let done = self.trainer.step_number();
        if done.is_multiple_of(self.trainer.config().stats_every) || done == 1 {
            self.write_stats()?;
        }
        if done.is_multiple_of(self.trainer.config().grid_every) {
            self.write_grid(self.dir.grid(done))?;
        }
        if done.is_multiple_of(self.trainer.config().checkpoint_every) {
            self.save()?;
        }
        self.progress.step(done, self.epoch);
        Ok(())
    }

    fn finish(mut self) -> Result<Finished> {
        if !self.interval.is_empty() {
            self.write_stats()?;
        }
        self.save()?;
        let samples = self.dir.samples();
        self.write_grid(samples.clone())?;
        Ok(Finished { folder: self.dir.path().to_path_buf(), samples, steps: self.trainer.step_number() })
    }

    /// Of the generator and of the discriminator.
    fn learning_rates(&self) -> [f64; 2] {
        let TrainConfig { lr_g, lr_d, no_lr_decay, num_epoch, .. } = *self.trainer.config();
        [lr_g, lr_d].map(|base| if no_lr_decay { base } else { cosine_annealing(base, self.epoch, num_epoch) })
    }

    fn write_stats(&mut self) -> Result<()> {
        let interval = std::mem::take(&mut self.interval);
        let MeanLosses { real, fake, r1, generator } = interval.means();
        let [lr_g, lr_d] = self.learning_rates();
        let stats = Stats {
            step: self.trainer.step_number(),
            epoch: self.epoch,
            loss_d_real: real,
            loss_d_fake: fake,
            loss_r1: r1,
            loss_g: generator,
            lr_g,
            lr_d,
            images_per_s: interval.images as f64 / self.interval_started.elapsed().as_secs_f64(),
            seconds: self.started.elapsed().as_secs_f64(),
            peak_memory_mib: peak_memory_mib(),
        };
        self.interval_started = Instant::now();
        self.dir.append_stats(&stats)?;
        self.progress.stats(&stats);
        Ok(())
    }

    /// Pictures of the averaged generator from the same noise every time.
    fn write_grid(&mut self, path: PathBuf) -> Result<()> {
        let before = Instant::now();
        let generator = self.trainer.averaged_generator();
        let [height, width, channels] = self.image;
        let mut pictures = Pictures::new(data::ImageShape { height, width, channels });
        let count = self.trainer.config().grid_pictures as u64;
        for first in (0..count).step_by(self.trainer.config().batch_size) {
            let samples = first..count.min(first + self.trainer.config().batch_size as u64);
            let images =
                sample::draw(generator, self.trainer.process(), self.trainer.config().seed, samples, DTYPE, &DEVICE)?;
            pictures.push(&images.to_f32());
        }
        pictures.save_grid(path, None)?;
        // Not the steps' time.
        self.interval_started += before.elapsed();
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let before = Instant::now();
        let (run, done) = (self.dir.path(), self.trainer.step_number());
        self.trainer.save(&checkpoint::path_of(run, done), done / self.loader.batches_per_epoch())?;
        checkpoint::prune(run, self.trainer.config().keep_checkpoints)?;
        self.interval_started += before.elapsed();
        Ok(())
    }
}

/// The data set of a configuration, whose pictures must fit the networks.
fn open_data(config: &TrainConfig) -> Result<Arc<dyn Dataset>> {
    let spec = DataSpec { name: config.dataset.clone(), data_dir: config.data_dir.clone(), ..Default::default() };
    let data = data::open(&spec)?;
    let (shape, size, channels) = (data.shape(), config.generator.image_size, config.generator.num_channels);
    if [shape.height, shape.width, shape.channels] != [size, size, channels] {
        return Err(Error::config(format!(
            "the pictures of {} are {}x{} with {} channels, the networks are for {size}x{size} with {channels}; \
             set image_size and num_channels",
            config.dataset, shape.height, shape.width, shape.channels,
        )));
    }
    Ok(data)
}

fn introduction(dir: &RunDir, data: &dyn Dataset, footprint: &Footprint) -> String {
    format!(
        "{}: {} pictures of {} ({}); {footprint}; {} threads",
        dir.path().display(),
        data.len(),
        data.name(),
        data.origin(),
        rayon::current_num_threads(),
    )
}
