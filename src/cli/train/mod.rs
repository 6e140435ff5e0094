//! `ddgan train`.

mod options;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
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
    #[arg(default_value = PRESETS[0].0)]
    preset: String,
    /// The run's folder, empty or not there yet [default: the next free runs/NNNNN-PRESET]
    #[arg(long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// End after this many steps
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// End after this many minutes
    #[arg(long, value_name = "M")]
    max_minutes: Option<f64>,
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
    let max_time = match args.max_minutes.map(|minutes| Duration::try_from_secs_f64(60.0 * minutes)) {
        Some(Err(_)) => bail!("--max-minutes must be a number of minutes from 0"),
        Some(Ok(time)) => Some(time),
        None => None,
    };
    let (outdir, name, max_steps) = (args.outdir.clone(), args.preset.clone(), args.max_steps);
    let Finished { folder, samples, steps } = train::run(&config, &RunOptions { outdir, name, max_steps, max_time })?;
    println!("{steps} steps done. The run is in {}, its pictures in {}", folder.display(), samples.display());
    Ok(ExitCode::SUCCESS)
}
