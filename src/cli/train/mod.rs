//! `ddgan train`.

mod options;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::train::{self, Earlier, Ending, Finished, PRESETS, RunOptions};
use options::ConfigOptions;

/// `--resume` without a run.
const LATEST: &str = "latest";

/// Train a generator.
///
/// Without a preset it learns to draw digits, on data that the program draws itself. The run's folder gets the
/// configuration (config.toml), statistics (stats.jsonl), grids of pictures, checkpoints, and in the end samples.png.
#[derive(Args)]
#[command(after_help = after_help())]
pub struct TrainArgs {
    /// The configuration to start from [default: digits]
    #[arg(value_parser = PRESETS.map(|(name, _)| name))]
    preset: Option<String>,
    /// The run's folder, empty or not there yet [default: the next free runs/NNNNN-PRESET]
    #[arg(long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Continue a run where it was saved last, bit for bit: of a folder or a checkpoint, or the latest one [of PRESET].
    /// Its configuration counts; flags change it where that makes sense
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = LATEST)]
    resume: Option<PathBuf>,
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
    let resume = args.earlier()?;
    let preset = args.preset.as_deref().unwrap_or(PRESETS[0].0);
    let mut config = match &resume {
        Some(earlier) => earlier.config().clone(),
        None => train::preset(preset)?,
    };
    args.config.apply(&mut config);
    let name = if resume.is_some() { config.dataset.clone() } else { preset.to_string() };
    let (outdir, max_steps, max_time) = (args.outdir.clone(), args.max_steps, args.max_minutes);
    let stop = stop_on_signals()?;
    let finished = train::run(&config, &RunOptions { outdir, name, resume, max_steps, max_time, stop })?;
    println!("{}", farewell(&finished, config.num_epoch));
    Ok(ExitCode::SUCCESS)
}

impl TrainArgs {
    fn earlier(&self) -> anyhow::Result<Option<Earlier>> {
        let Some(run) = &self.resume else { return Ok(None) };
        if run.as_os_str() != LATEST {
            if !run.exists() && PRESETS.iter().any(|(name, _)| run.as_os_str() == *name) {
                let name = run.display();
                bail!(
                    "--resume {name}: there is no such run; `train {name} --resume` continues the latest one of {name}"
                );
            }
            return Ok(Some(Earlier::at(run)?));
        }
        Ok(Some(match &self.outdir {
            Some(folder) => Earlier::at(folder)?,
            None => Earlier::latest(self.preset.as_deref())?,
        }))
    }
}

fn farewell(finished: &Finished, num_epoch: u64) -> String {
    let (steps, folder) = (finished.steps, finished.folder.display());
    let resume = format!("`ddgan train --resume {folder}");
    match &finished.ending {
        Ending::Stopped => format!("Stopped after {steps} steps. {resume}` continues"),
        Ending::Complete(_) if finished.new_steps == 0 => format!(
            "Nothing to do: all {steps} steps of {num_epoch} epochs are done in {folder}. To train on: {resume} --num-epoch \
             {}`, which stretches the decay of the learning rates",
            num_epoch.saturating_mul(2)
        ),
        Ending::Limit(_) if finished.new_steps == 0 => {
            format!("Nothing to do: {steps} steps are done in {folder}, as many as were asked for")
        }
        Ending::Limit(samples) | Ending::Complete(samples) => {
            format!("{steps} steps done. The run is in {folder}, its pictures in {}", samples.display())
        }
    }
}

/// What is true once Ctrl-C, SIGTERM or SIGUSR1 (which batch systems send before they end a job) has come. A second
/// Ctrl-C ends the program at once.
fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    // Before the flag is set, so that the first one finds it unset.
    flag::register_conditional_default(SIGINT, stop.clone())?;
    let signals = [
        SIGINT,
        SIGTERM,
        #[cfg(unix)]
        signal_hook::consts::SIGUSR1,
    ];
    for signal in signals {
        flag::register(signal, stop.clone())?;
    }
    #[cfg(unix)]
    {
        // A step can take long; whoever sees nothing happen presses Ctrl-C again.
        let mut signals = signal_hook::iterator::Signals::new(signals)?;
        std::thread::spawn(move || {
            for _ in signals.forever() {
                let _ = writeln!(std::io::stderr(), "stopping after this step; a second Ctrl-C ends at once, unsaved");
            }
        });
    }
    Ok(stop)
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "expected a number of minutes")?;
    Duration::try_from_secs_f64(60.0 * minutes).map_err(|e| e.to_string())
}
