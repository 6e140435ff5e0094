//! `ddgan profile`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::Value;

use super::device::DeviceOption;
use super::network::variant;
use crate::profile::{self, Ceilings, Part, ProfileOptions};
use crate::tensor::Precision;
use crate::train::{self, Layer, PRESETS};

/// Measure where the time of a step goes, operation by operation.
///
/// Of a denoising step and of a training step: every operation with its time, the memory that it moves and what it computes, and how near that is to a copy and to
/// a large matrix product on the same device.
#[derive(Args)]
pub struct ProfileArgs {
    /// The configuration to take the networks from
    #[arg(default_value = PRESETS[0].0, value_parser = PRESETS.map(|(name, _)| name))]
    preset: String,
    /// A TOML file whose keys replace the preset's, or a run's folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Replace one key, over the preset and the file: --set generator.num_channels_dae=128
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What to measure: denoise, train (a step without R1), train_r1 (one with it)
    #[arg(long, value_name = "PART", num_args = 1.., default_values = ["denoise", "train"], value_parser = variant::<Part>)]
    part: Vec<Part>,
    /// Pictures at once [default: the configuration's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Option<u32>,
    /// How often to run, after once for warming up
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10000))]
    runs: u32,
    /// What the networks compute in: f32, or bf16 on a GPU
    #[arg(long, value_name = "TYPE", value_parser = variant::<Precision>)]
    precision: Option<Precision>,
    /// Take these GB/s and GFLOP/s for the ceilings, instead of measuring them
    #[arg(long, value_name = "A,B")]
    ceilings: Option<Ceilings>,
    /// Compare our kernels' convolutions with cuDNN's instead, shape by shape; the result is kept for --conv auto
    #[arg(long, conflicts_with_all = ["trace", "ceilings"])]
    convs: bool,
    /// Write all numbers
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write every operation with its time, for ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOption,
}

pub fn run(args: &ProfileArgs) -> anyhow::Result<ExitCode> {
    let device = if args.convs { args.device.open_to_compare()? } else { args.device.open()? };
    let mut layers = Vec::new();
    if let Some(path) = &args.config {
        layers.push(Layer::read(&if path.is_dir() { path.join("config.toml") } else { path.clone() })?);
    }
    for assignment in &args.set {
        layers.push(Layer::assignment(assignment).map_err(|e| anyhow!("--set {e}"))?);
    }
    let mut config = train::preset(&args.preset)?.overlaid(&layers)?;
    config.precision = args.precision.unwrap_or(config.precision);
    let ceilings = match args.ceilings {
        Some(ceilings) => ceilings,
        None if args.convs => Ceilings { bytes_per_second: f64::INFINITY, flops_per_second: f64::INFINITY },
        None => Ceilings::measure(config.precision.on(&device)?, &device)?,
    };
    let batch = args.batch.map_or(config.batch_size, |batch| batch as usize);
    let options = ProfileOptions { batch, runs: args.runs as usize, device, ceilings };
    if args.convs {
        let convolutions = profile::convolutions(&args.part, &config, &options)?;
        super::print(&convolutions.to_string())?;
        if let Some(path) = &args.json {
            write(path, &serde_json::to_value(&convolutions)?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut profiles = Vec::new();
    for &part in &args.part {
        let profile = profile::profile(part, &config, &options)?;
        super::print(&format!("{profile}\n"))?;
        profiles.push(profile);
    }
    if let Some(path) = &args.json {
        write(path, &serde_json::to_value(&profiles)?)?;
    }
    if let Some(path) = &args.trace {
        write(path, &profile::chrome_trace(&profiles))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, value: &Value) -> anyhow::Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("cannot write {}", path.display()))
}
