//! `ddgan sample`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::data::ImageShape;
use crate::sample::{self, Pictures, Source};
use crate::tensor::{DType, Device};

/// Draw pictures with a trained generator.
///
/// Picture number i of a seed is always the same, whatever the batch size and the number of threads.
#[derive(Args)]
pub struct SampleArgs {
    /// A run's folder (its newest checkpoint is used) or a checkpoint file
    #[arg(value_name = "RUN")]
    source: PathBuf,
    /// How many pictures
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// How many at once
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Decides all noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Where to write: a file, or for `png` a folder [default: sample-SEED in the run's folder]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Use the parameters as they are, not their moving average
    #[arg(long)]
    raw: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// One PNG with all pictures
    #[default]
    Grid,
    /// One PNG a picture, 000000.png and so on
    Png,
    /// One array for numpy: `samples`, uint8 [N, H, W, C]
    Npz,
}

pub fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    const DTYPE: DType = DType::F32;
    let device = Device::Cpu;
    let Source { generator, process, path, step, averaged } = Source::open(&args.source, args.raw, DTYPE, &device)?;
    let parameters = if averaged { "averaged" } else { "raw" };
    eprintln!(
        "{}: {parameters} parameters after {step} steps, {} steps a picture",
        path.display(),
        process.num_timesteps()
    );
    let out = args.out();

    let config = generator.config();
    let (height, width, channels) = (config.image_size, config.image_size, config.num_channels);
    let shape = ImageShape { height, width, channels };
    let mut pictures = Pictures::new(shape);
    let started = Instant::now();
    for first in (0..args.count).step_by(args.batch as usize) {
        let samples = first..args.count.min(first.saturating_add(args.batch));
        let before = Instant::now();
        let images = sample::draw(&generator, &process, args.seed, samples.clone(), DTYPE, &device)?;
        let (n, done, all) = (samples.end - samples.start, samples.end, args.count);
        eprintln!("{n} pictures in {:.3} s ({done} of {all})", before.elapsed().as_secs_f64());
        pictures.push(&images.to_f32());
        if matches!(args.format, Format::Png) {
            pictures.save_each(&out, first as usize)?;
            pictures = Pictures::new(shape);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    match args.format {
        Format::Grid => pictures.save_grid(&out, None)?,
        Format::Npz => pictures.save_npz(&out)?,
        Format::Png => {}
    }
    let rate = args.count as f64 / seconds;
    println!("{} pictures in {seconds:.2} s, {rate:.2} images/s: {}", args.count, out.display());
    Ok(ExitCode::SUCCESS)
}

impl SampleArgs {
    /// Where to write: what `--out` names; what it leaves open is in the run's folder or beside the checkpoint file.
    fn out(&self) -> PathBuf {
        let name = match self.format {
            Format::Grid => format!("sample-{}.png", self.seed),
            Format::Png => format!("sample-{}", self.seed),
            Format::Npz => format!("sample-{}.npz", self.seed),
        };
        match &self.out {
            Some(folder) if folder.is_dir() && !matches!(self.format, Format::Png) => folder.join(name),
            Some(path) => path.clone(),
            None if self.source.is_dir() => self.source.join(name),
            None => self.source.with_file_name(name),
        }
    }
}
