//! A whole training: data, steps, what is written on the way, and the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::data::{check_size, open_data};
use super::progress::{Limits, Progress};
use super::resume::{Earlier, changes};
use super::saver::Saver;
use super::stats::{Interval, MeanLosses, peak_memory_mib};
use super::{Footprint, Pending, RunDir, Stats, TrainConfig, Trainer, cosine_annealing};
use crate::checkpoint;
use crate::data::{Batch, Dataset, ImageShape, Loader, LoaderOptions};
use crate::diffusion::Method;
use crate::error::{Error, Result};
use crate::sample::{self, Samples};
use crate::tensor::{DType, Device, Tensor};

/// What a run is asked beside its configuration.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The run's folder; the next free `runs/NNNNN-<name>` if not given.
    pub outdir: Option<PathBuf>,
    /// What the run is called in the folder's name.
    pub name: String,
    /// The run to continue, in its own folder unless `outdir` is another one.
    pub resume: Option<Earlier>,
    /// Ends the training early.
    pub max_steps: Option<u64>,
    pub max_time: Option<Duration>,
    pub device: Device,
    /// Somebody sets it to have the training saved and ended after the step under way.
    pub stop: Arc<AtomicBool>,
}

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Finished {
    pub folder: PathBuf,
    pub ending: Ending,
    /// Steps done.
    pub steps: u64,
    /// Those of them that this call has done.
    pub new_steps: u64,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done. The grid of pictures at the end.
    Complete(PathBuf),
    /// A limit of the options. The grid of pictures at the end.
    Limit(PathBuf),
    /// It was asked to stop; what was left to write will be when it is resumed.
    Stopped,
}

const DTYPE: DType = DType::F32;

/// Trains until the last epoch, until a limit of the options, or until it is asked to stop, and saves the result.
///
/// Errors: a configuration that cannot work, or that is not the one of the run to continue; data that is not there; a
/// folder that is taken; the disk's; a loss that is not finite. What was saved before stays, and what can still be saved
/// is.
pub fn run(config: &TrainConfig, options: &RunOptions) -> Result<Finished> {
    let mut run = Run::start(config, options)?;
    run.train().and_then(|()| run.finish()).map_err(|error| run.rescue(error))
}

struct Run {
    device: Device,
    trainer: Trainer,
    data: Arc<dyn Dataset>,
    loader: Loader,
    dir: RunDir,
    saver: Saver,
    progress: Progress,
    limits: Limits,
    /// Steps in all epochs.
    all_steps: u64,
    /// Steps between two checkpoints that are kept for good.
    major_steps: Option<u64>,
    stop: Arc<AtomicBool>,
    started: Instant,
    /// Steps that were done before.
    first: u64,
    /// Spent on them.
    earlier_seconds: f64,
    /// The step of the last checkpoint.
    saved: Option<u64>,
    /// The last step and its pictures, until its losses are counted: a GPU is at it when the next one is launched.
    pending: Option<(Pending, usize)>,
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
        footprint.check(config, &options.device)?;
        let mut notes = Vec::new();
        let (dir, point) = match &options.resume {
            None => (None, None),
            Some(earlier) => {
                let (dir, point) = earlier.open(options.outdir.as_deref(), &mut notes)?;
                let before = point.as_ref().map_or(earlier.config(), |point| &point.header.config);
                notes.extend(changes(before, config)?);
                (dir, point)
            }
        };
        let data = open_data(config)?;
        let mut trainer = Trainer::new(config, DTYPE, &options.device)?;
        let mut interval = Interval::default();
        if let Some(point) = &point {
            check_size(&*data, point.header.pictures)?;
            interval = trainer.restore(&point.path)?;
            notes.push(format!("continuing after step {} from {}", trainer.step_number(), point.path.display()));
        } else if dir.is_some() {
            notes.push("nothing was saved yet: starting from the beginning".into());
        }
        let first = trainer.step_number();
        let flip = config.flip.unwrap_or(data.flip_by_default());
        let loader = LoaderOptions { batch_size: config.batch_size, seed: config.seed, flip, threads: 0 };
        let loader = Loader::new(data.clone(), loader, first)?;

        let epochs = |n: u64| n.saturating_mul(loader.batches_per_epoch());
        let (all_steps, major_steps) =
            (epochs(config.num_epoch), (config.major_every > 0).then(|| epochs(config.major_every)));
        let steps = options.max_steps.map_or(all_steps, |max| max.min(all_steps));
        let mut dir = match dir {
            Some(dir) => dir,
            None => RunDir::create(options.outdir.as_deref(), &options.name, config)?,
        };
        if options.resume.is_some() {
            dir.update_config(config)?;
            // The line of an interval that goes on told only a part of it.
            dir.rewind(first, interval.is_empty() || first >= steps)?;
            checkpoint::prune(dir.path(), config.keep_checkpoints, |step| is_major(step, major_steps))?;
        }
        let limits = Limits { steps, time: options.max_time };
        let progress = Progress::new(limits, first, started);
        progress.note(&introduction(&dir, &*data, &footprint));
        notes.iter().for_each(|note| progress.note(note));
        Ok(Run {
            device: options.device.clone(),
            epoch: first.saturating_sub(1) / loader.batches_per_epoch(),
            earlier_seconds: dir.last_stats().map_or(0.0, |(_, seconds)| seconds),
            saved: point.filter(|point| point.path.starts_with(dir.path())).map(|_| first),
            trainer,
            data,
            loader,
            dir,
            saver: Saver::default(),
            progress,
            limits,
            all_steps,
            major_steps,
            stop: options.stop.clone(),
            started,
            first,
            pending: None,
            interval,
            interval_started: Instant::now(),
        })
    }

    fn train(&mut self) -> Result<()> {
        let mut batch = Batch::default();
        // What was due when the run ended.
        self.write_due()?;
        while !self.limits.reached(self.steps(), self.started.elapsed()) && !self.stopped() {
            self.loader.next(&mut batch)?;
            self.step(&batch)?;
            self.saver.poll()?;
            self.write_due()?;
            if self.is_save_due() {
                self.save()?;
            }
            self.progress.step(self.steps(), self.epoch);
        }
        Ok(())
    }

    fn step(&mut self, batch: &Batch) -> Result<()> {
        self.epoch = batch.epoch;
        let shape = self.data.shape();
        let real = Tensor::from_f32(&batch.images, [batch.len(), shape.height, shape.width, shape.channels]);
        let real = real.to_device(&self.device)?;
        let pending = self.trainer.launch(&self.trainer.draw_inputs(real)?, self.learning_rates())?;
        if let Some(error) = self.trainer.recording_failure() {
            let what = "every kernel is launched by itself, since recording a step of them failed";
            self.progress.note(&format!("warning: {what}: {error}"));
        }
        let before = self.pending.replace((pending, batch.len()));
        self.count(before)?;
        // A CPU is done with it.
        if self.device == Device::Cpu { self.settle() } else { Ok(()) }
    }

    /// Waits for the step under way. Errors: it has diverged.
    fn settle(&mut self) -> Result<()> {
        let pending = self.pending.take();
        self.count(pending)
    }

    fn count(&mut self, pending: Option<(Pending, usize)>) -> Result<()> {
        if let Some((pending, pictures)) = pending {
            self.interval.add(&pending.losses()?, pictures);
        }
        Ok(())
    }

    /// Steps done.
    fn steps(&self) -> u64 {
        self.trainer.step_number()
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What the step just done gives reason to write, unless it is there.
    fn write_due(&mut self) -> Result<()> {
        let (done, config) = (self.steps(), self.trainer.config());
        let grid_every = config.grid_every;
        if done.is_multiple_of(config.stats_every) || done == 1 {
            self.settle()?;
            if !self.interval.is_empty() {
                self.write_stats()?;
            }
        }
        let grid = self.dir.grid(done);
        if done > 0 && done.is_multiple_of(grid_every) && !grid.exists() {
            self.write_grid(grid)?;
        }
        Ok(())
    }

    fn is_save_due(&self) -> bool {
        let done = self.steps();
        done.is_multiple_of(self.trainer.config().checkpoint_every) || is_major(done, self.major_steps)
    }

    fn finish(&mut self) -> Result<Finished> {
        self.settle()?;
        self.save()?;
        self.saver.wait()?;
        let (steps, new_steps, folder) = (self.steps(), self.steps() - self.first, self.dir.path().to_path_buf());
        let samples = self.dir.samples();
        if !self.stopped() {
            if !self.interval.is_empty() && self.dir.last_stats().is_none_or(|(step, _)| step < steps) {
                self.write_stats()?;
            }
            if new_steps > 0 || !samples.exists() {
                self.write_grid(samples.clone())?;
            }
        }
        let ending = match (self.stopped(), steps >= self.all_steps) {
            (true, _) => Ending::Stopped,
            (false, true) => Ending::Complete(samples),
            (false, false) => Ending::Limit(samples),
        };
        Ok(Finished { folder, ending, steps, new_steps })
    }

    /// Saves what an error leaves, and says what there is to continue from.
    fn rescue(&mut self, error: Error) -> Error {
        // Disks and data fail between steps, when the training is whole. A loss that diverges leaves half a step.
        let whole = matches!(error, Error::Io { .. } | Error::Format { .. } | Error::NotFound(_));
        let saved = self.saver.wait().and_then(|()| match whole && !self.saver.failed() {
            true => self.save().and_then(|()| self.saver.wait()),
            false => Ok(()),
        });
        if let Err(another) = saved {
            let cause = std::error::Error::source(&another).map_or(String::new(), |cause| format!(": {cause}"));
            self.progress.note(&format!("warning: {another}{cause}"));
        }
        let saved = checkpoint::all(self.dir.path()).ok().and_then(|mut all| all.pop());
        let advise = |flags: &str| match saved {
            Some((step, _)) => {
                let folder = self.dir.path().display();
                format!("step {step} is saved: `ddgan train --resume {folder}{flags}` continues from there")
            }
            None => "nothing was saved before".into(),
        };
        if let Error::OutOfMemory { total, .. } = error {
            self.progress.note(&advise(""));
            let what = format!("{error}; {}", Footprint::smaller_batch(self.trainer.config(), total));
            return Error::Training { step: self.steps() + 1, what };
        }
        let Error::Training { step, what } = error else {
            self.progress.note(&advise(""));
            return error;
        };
        let TrainConfig { method, lr_g, lr_d, .. } = *self.trainer.config();
        let (remedy, flags) = match method {
            Method::Ddpm => ("a lower learning rate (lr_g)", format!(" --lr-g {:e}", lr_g / 2.0)),
            _ => (
                "lower learning rates (lr_g, lr_d) or another weight of the gradient penalty (r1_gamma, lazy_reg)",
                format!(" --lr-g {:e} --lr-d {:e}", lr_g / 2.0, lr_d / 2.0),
            ),
        };
        Error::Training { step, what: format!("{what}; {remedy} may help; {}", advise(&flags)) }
    }

    /// Of the generator and of the discriminator.
    fn learning_rates(&self) -> [f64; 2] {
        let TrainConfig { lr_g, lr_d, no_lr_decay, num_epoch, .. } = *self.trainer.config();
        [lr_g, lr_d].map(|base| if no_lr_decay { base } else { cosine_annealing(base, self.epoch, num_epoch) })
    }

    fn write_stats(&mut self) -> Result<()> {
        let MeanLosses { real, fake, r1, x0, generator } = self.interval.means();
        let [lr_g, lr_d] = self.learning_rates();
        let TrainConfig { method, x0_weight, .. } = *self.trainer.config();
        let adversarial = method != Method::Ddpm;
        let stats = Stats {
            step: self.steps(),
            epoch: self.epoch,
            loss_d_real: adversarial.then_some(real),
            loss_d_fake: adversarial.then_some(fake),
            loss_r1: r1,
            loss_x0: (x0_weight > 0.0).then_some(x0),
            loss_g: generator,
            lr_g,
            lr_d: adversarial.then_some(lr_d),
            images_per_s: self.interval.images as f64 / self.interval_started.elapsed().as_secs_f64(),
            seconds: self.earlier_seconds + self.started.elapsed().as_secs_f64(),
            peak_memory_mib: peak_memory_mib(),
        };
        self.dir.append_stats(&stats)?;
        (self.interval, self.interval_started) = (Interval::default(), Instant::now());
        self.progress.stats(&stats);
        Ok(())
    }

    /// Pictures of the averaged generator from the same noise every time; none if the run is asked to stop meanwhile.
    fn write_grid(&mut self, path: PathBuf) -> Result<()> {
        let before = Instant::now();
        let (generator, process) = (self.trainer.averaged_generator(), self.trainer.config().preview()?);
        let TrainConfig { grid_pictures, batch_size, seed, ref dataset, .. } = *self.trainer.config();
        let mut drawn = Samples::new(self.data.shape());
        let count = grid_pictures as u64;
        for first in (0..count).step_by(batch_size) {
            if self.stopped() {
                return Ok(());
            }
            let samples = first..count.min(first + batch_size as u64);
            let images = sample::draw(generator, &process, seed, samples, DTYPE, &self.device)?;
            drawn.push(&images.to_f32());
        }
        drawn.save_overview(path, dataset)?;
        if let Some(coverage) = drawn.mode_coverage(dataset) {
            self.progress.note(&format!("step {}: {coverage}, of {count} points", self.steps()));
        }
        // Not the steps' time.
        self.interval_started += before.elapsed();
        Ok(())
    }

    /// Starts to write a checkpoint, unless there is one of this very step.
    fn save(&mut self) -> Result<()> {
        let (before, done) = (Instant::now(), self.steps());
        if self.saved == Some(done) {
            return Ok(());
        }
        self.settle()?;
        self.dir.flush_stats();
        let snapshot = self.trainer.snapshot(done / self.loader.batches_per_epoch());
        let snapshot = snapshot.of_run(self.data.len(), &self.interval);
        let (run, keep, major) =
            (self.dir.path().to_path_buf(), self.trainer.config().keep_checkpoints, self.major_steps);
        self.saver.start(move || {
            snapshot.write(&checkpoint::path_of(&run, done))?;
            checkpoint::prune(&run, keep, |step| is_major(step, major))
        })?;
        self.saved = Some(done);
        self.interval_started += before.elapsed();
        Ok(())
    }
}

/// Whether the checkpoint after a step is kept for good.
fn is_major(step: u64, every: Option<u64>) -> bool {
    step > 0 && every.is_some_and(|every| step.is_multiple_of(every))
}

fn introduction(dir: &RunDir, data: &dyn Dataset, footprint: &Footprint) -> String {
    format!(
        "{}: {} {} of {} ({}); {footprint}; {} threads",
        dir.path().display(),
        data.len(),
        if data.shape() == ImageShape::POINT { "points" } else { "pictures" },
        data.name(),
        data.origin(),
        rayon::current_num_threads(),
    )
}
