//! `ddgan train`.

mod config;
mod options;
mod published;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;
use clap::{Arg, Args};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::device::DeviceOption;
use crate::train::{self, Earlier, Ending, Finished, PRESETS, RunOptions};
use config::ConfigArgs;
pub use options::Options;

/// `--resume` without a run.
const LATEST: &str = "latest";

/// Train a generator.
///
/// Without a preset it learns to draw digits, on data that the program draws itself. The run's folder gets the
/// configuration (config.toml), statistics (stats.jsonl), grids of pictures, checkpoints, and in the end samples.png.
#[derive(Args)]
#[command(after_help = presets_help(), after_long_help = long_help())]
pub struct TrainArgs {
    /// The configuration to start from [default: digits]
    #[arg(value_parser = PRESETS.map(|(name, _)| name), hide_possible_values = true)]
    preset: Option<String>,
    /// The run's folder, empty or not there yet [default: the next free runs/NNNNN-PRESET]
    #[arg(long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Continue a run bit for bit where it was saved last: its folder, a checkpoint, or `latest`, the newest run [of
    /// PRESET]. Its own configuration counts; flags change what may change
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = LATEST)]
    resume: Option<PathBuf>,
    /// End after this many steps
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// End after this many minutes
    #[arg(long, value_name = "M", value_parser = minutes)]
    max_minutes: Option<Duration>,
    /// Print the configuration as TOML, for --config, and stop
    #[arg(long, short = 'n')]
    dry_run: bool,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Keeps what is rarely set out of `-h`.
pub fn hide_if_rare(arg: Arg) -> Arg {
    const RARE: [&str; 6] = ["Diffusion", "Objectives", "Generator", "Discriminator", "Output", super::PUBLISHED];
    let rare = arg.get_help_heading().is_some_and(|heading| RARE.contains(&heading));
    if rare { arg.hide_short_help(true) } else { arg }
}

fn presets_help() -> String {
    let presets: Vec<String> = PRESETS.iter().map(|(name, line)| format!("  {name:<13}{line}")).collect();
    format!("Presets:\n{}", presets.join("\n"))
}

fn long_help() -> String {
    format!(
        "{}\n\n\
         Of what sets the same key, the last counts: preset, --config, --set, flags. A flag may also be written with \
         underscores, as published: --lr_g is --lr-g.\n\n\
         The published program's commands work as they are. Without a preset, --dataset starts from its defaults.\n\n\
         Examples:\n  \
         ddgan train mnist --data-dir ~/data --max-minutes 20\n  \
         ddgan train cifar10 --set generator.nz=64 --lr-g 2e-4 --dry-run\n  \
         ddgan train gaussians25 --method ddpm\n  \
         ddgan train --resume runs/00000-mnist --num-epoch 8\n  \
         ddgan train --dataset cifar10 --exp mine --num_timesteps 4 --ch_mult 1 2 2 2 --use_ema",
        presets_help()
    )
}

pub fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let mut start = args.config.start(args.preset.as_deref())?;
    let outdir = args.outdir.clone().or(start.exp_folder.take());
    let resume = args.earlier(outdir.as_deref())?;
    if let Some(earlier) = &resume {
        start.resume(earlier.config());
    }
    let (config, origin) = args.config.finish(&start)?;
    if args.dry_run {
        let folder = match (outdir, resume) {
            (Some(folder), _) => folder.display().to_string(),
            (None, Some(_)) => "that of the run".into(),
            (None, None) => format!("the next free runs/NNNNN-{}", start.name),
        };
        // For the device of another machine too.
        let device = args.device.open().unwrap_or_default();
        super::print(&config::describe(&config, &origin, &folder, &device)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (name, max_steps, max_time) = (start.name, args.max_steps, args.max_minutes);
    let device = args.device.open()?;
    let stop = stop_on_signals()?;
    let finished = train::run(&config, &RunOptions { outdir, name, resume, max_steps, max_time, device, stop })?;
    println!("{}", farewell(&finished, config.num_epoch));
    Ok(ExitCode::SUCCESS)
}

impl TrainArgs {
    /// The run to continue; `outdir` is the folder that is asked for.
    fn earlier(&self, outdir: Option<&Path>) -> anyhow::Result<Option<Earlier>> {
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
        Ok(Some(match outdir {
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
pub fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
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
    let minutes = text.parse().ok().and_then(|minutes: f64| Duration::try_from_secs_f64(60.0 * minutes).ok());
    minutes.ok_or_else(|| "expected a number of minutes, 0 or more".into())
}
