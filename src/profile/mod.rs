//! Where the time goes: the operations of a denoising step and of a training step, how long each takes, and how near
//! that is to what the device can do.

mod ceilings;
mod chrome;
mod convolutions;
mod table;

pub use ceilings::Ceilings;
pub use chrome::chrome_trace;
pub use convolutions::{Convolutions, convolutions};

use std::time::Instant;

use serde::Serialize;

use crate::backend::trace::{self, Operation};
use crate::diffusion::Method;
use crate::error::{Error, Result};
use crate::models::Generator;
use crate::sample::denoise;
use crate::tensor::{DType, Device, Key, Tensor, normal};
use crate::train::{TrainConfig, Trainer};

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The generator forward, and what its output makes of the state.
    Denoise,
    /// A training step without the gradient penalty R1, as most are.
    Train,
    /// A training step with R1.
    TrainR1,
}

/// Operations that did the same, in all runs together.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `conv2d::forward`.
    pub operation: String,
    pub sizes: String,
    /// Calls, kernels of a GPU, seconds, bytes and multiplications and additions of one run.
    pub calls: f64,
    pub launches: f64,
    pub seconds: f64,
    pub bytes: f64,
    pub flops: f64,
    /// The least seconds that the device's ceilings allow.
    pub floor: f64,
    /// What ran on a GPU, with the seconds of a run.
    pub kernels: Vec<(String, f64)>,
}

/// What was measured of one part.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    pub part: Part,
    pub device: String,
    pub precision: DType,
    pub batch: usize,
    /// How often it ran, after once for warming up.
    pub runs: usize,
    /// Of one run, from its call until the device was done.
    pub wall_seconds: f64,
    pub ceilings: Ceilings,
    /// The slowest first.
    pub rows: Vec<Row>,
    /// Everything that ran, for a trace.
    #[serde(skip)]
    pub operations: Vec<Operation>,
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct ProfileOptions {
    pub batch: usize,
    pub runs: usize,
    pub device: Device,
    pub ceilings: Ceilings,
}

/// Runs a part of a training with random parameters on random pictures.
///
/// Errors: a configuration that cannot work, a precision that the device has not, a device that fails.
pub fn profile(part: Part, config: &TrainConfig, options: &ProfileOptions) -> Result<Profile> {
    let precision = config.precision.on(&options.device)?;
    let (wall_seconds, operations) = run_part(part, config, options)?;
    let ProfileOptions { batch, runs, ref device, ceilings } = *options;
    let rows = rows(&operations, runs, &ceilings);
    let device = format!("{device} ({})", device.name());
    Ok(Profile { part, device, precision, batch, runs, wall_seconds, ceilings, rows, operations })
}

/// Seconds of a run, and the operations of all runs.
type Measured = (f64, Vec<Operation>);

fn run_part(part: Part, config: &TrainConfig, options: &ProfileOptions) -> Result<Measured> {
    match part {
        Part::Denoise => denoising(config, config.precision.on(&options.device)?, options),
        Part::Train => training(TrainConfig { r1_gamma: 0.0, ..config.clone() }, options),
        Part::TrainR1 if config.method == Method::Ddpm => {
            Err(Error::config("a DDPM has no discriminator, and no step with R1: measure denoise and train"))
        }
        Part::TrainR1 => {
            let r1_gamma = if config.r1_gamma > 0.0 { config.r1_gamma } else { 1.0 };
            training(TrainConfig { r1_gamma, lazy_reg: 1, ..config.clone() }, options)
        }
    }
}

fn denoising(config: &TrainConfig, dtype: DType, options: &ProfileOptions) -> Result<Measured> {
    config.validate()?;
    let device = &options.device;
    let generator = Generator::new(&config.generator, config.seed, dtype, device)?;
    let process = config.process()?;
    let numbers = |shape: &[usize], stream| {
        normal([&[options.batch], shape].concat(), Key { seed: 0, stream }, DType::F32, device)
    };
    let size = config.generator.image_size;
    let picture = [size, size, config.generator.num_channels];
    let (x, noise, z) = (numbers(&picture, 0)?, numbers(&picture, 1)?, numbers(&[config.generator.nz], 2)?);
    let t = process.num_timesteps() - 1;
    measure(options, || denoise(&generator, &process, &x, t, &z, &noise).map(drop))
}

fn training(config: TrainConfig, options: &ProfileOptions) -> Result<Measured> {
    let device = &options.device;
    let mut trainer = Trainer::new(&config, DType::F32, device)?;
    let size = config.generator.image_size;
    let shape = [options.batch, size, size, config.generator.num_channels];
    let real: Tensor = normal(shape, Key { seed: 0, stream: 0 }, DType::F32, device)?;
    measure(options, || {
        let inputs = trainer.draw_inputs(real.clone())?;
        trainer.step(&inputs, [config.lr_g, config.lr_d]).map(drop)
    })
}

fn measure(options: &ProfileOptions, mut run: impl FnMut() -> Result<()>) -> Result<Measured> {
    run()?;
    options.device.synchronize()?;
    let started = Instant::now();
    let ((), operations) = trace::record(|| {
        (0..options.runs).try_for_each(|_| run())?;
        options.device.synchronize()
    })?;
    Ok((started.elapsed().as_secs_f64() / options.runs as f64, operations))
}

fn rows(operations: &[Operation], runs: usize, ceilings: &Ceilings) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for Operation { op, kernel, sizes, seconds, bytes, flops, launches, .. } in operations {
        // Nothing was done for no numbers.
        if *bytes == 0.0 {
            continue;
        }
        let operation = format!("{op}::{kernel}");
        let sizes = if sizes.is_empty() { format!("{:.2} MB", bytes / 1e6) } else { sizes.clone() };
        let found = rows.iter().position(|row| row.operation == operation && row.sizes == sizes);
        let row = match found {
            Some(found) => &mut rows[found],
            None => {
                let (calls, launches, seconds, bytes, flops, floor) = Default::default();
                let kernels = Vec::new();
                rows.push(Row { operation, sizes, calls, launches, seconds, bytes, flops, floor, kernels });
                rows.last_mut().expect("just pushed")
            }
        };
        row.calls += 1.0;
        row.launches += launches.len() as f64;
        row.seconds += seconds;
        row.bytes += bytes;
        row.flops += flops;
        row.floor += ceilings.floor(*bytes, *flops);
        for launch in launches {
            match row.kernels.iter_mut().find(|(kernel, _)| *kernel == launch.kernel) {
                Some((_, seconds)) => *seconds += launch.seconds,
                None => row.kernels.push((launch.kernel.clone(), launch.seconds)),
            }
        }
    }
    for row in &mut rows {
        let numbers =
            [&mut row.calls, &mut row.launches, &mut row.seconds, &mut row.bytes, &mut row.flops, &mut row.floor];
        numbers.into_iter().chain(row.kernels.iter_mut().map(|(_, seconds)| seconds)).for_each(|x| *x /= runs as f64);
    }
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    rows
}

impl Profile {
    /// Of all rows.
    pub fn total(&self, of: impl Fn(&Row) -> f64) -> f64 {
        self.rows.iter().map(of).sum()
    }
}
