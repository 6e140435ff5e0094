//! `ddgan train`.

mod options;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::train::{self, Finished, PRESETS, RunOptions};
use options::ConfigOptions;

/// Train a generator.
///
/// Without a preset it learns to draw digits, on data that the program draws itself. The run's folder gets the
/// configuration (config.toml), statistics (stats.jsonl), grids of pictures, checkpoints, and in the end samples.png.
#[derive(Args)]
#[command(after_help = after_help())]
pub struct TrainArgs {
    /// The configuration to start from
    #[arg(default_value = PRESETS[0].0, value_parser = PRESETS.map(|(name, _)| name))]
    preset: String,
    /// The run's folder, empty or not there yet [default: the next free runs/NNNNN-PRESET]
    #[arg(long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// End after this many steps
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// End after this many minutes
    #[arg(long, value_name = "M", value_parser = minutes)]
    max_minutes: Option<Duration>,
    #[command(flatten)]
    config: ConfigOptions,
}

fn after_help() -> String {
    let presets: Vec<String> = PRESETS.iter().map(|(name, line)| format!("  {name:<12}{line}")).collect();
    format!("Presets:\n{}\n\nEvery flag may also be written with underscores: --lr_g is --lr-g.", presets.join("\n"))
}

pub fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let mut config = train::preset(&args.preset)?;
    args.config.apply(&mut config);
    let (outdir, name) = (args.outdir.clone(), args.preset.clone());
    let (max_steps, max_time) = (args.max_steps, args.max_minutes);
    let Finished { folder, samples, steps } = train::run(&config, &RunOptions { outdir, name, max_steps, max_time })?;
    println!("{steps} steps done. The run is in {}, its pictures in {}", folder.display(), samples.display());
    Ok(ExitCode::SUCCESS)
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "expected a number of minutes")?;
    Duration::try_from_secs_f64(60.0 * minutes).map_err(|e| e.to_string())
}
