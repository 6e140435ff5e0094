//! `ddgan sweep`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Parser};

use super::device::DeviceOption;
use super::eval::{self, EvalArgs};
use super::{compare, train};
use crate::fsutil::write_atomic;
use crate::report::Comparison;
use crate::sweep::{self, Event, Means, Planned, State, Sweep};
use crate::tensor::Device;

/// Train a list of configurations one after another.
///
/// Runs that are done are skipped, those that were interrupted go on: the same command continues a sweep. In the end each
/// is evaluated, if the file asks for it, and the sweep's folder gets a table (sweep.md, sweep.json) and a comparison
/// (compare.html, compare.png). docs/report.md tells what the file holds.
#[derive(Args)]
pub struct SweepArgs {
    /// The list: a TOML file
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Say what would be trained, and stop
    #[arg(long, short = 'n')]
    dry_run: bool,
    #[command(flatten)]
    device: DeviceOption,
}

/// `ddgan eval` with flags from a sweep's file.
#[derive(Parser)]
#[command(name = "ddgan eval", no_binary_name = true, args_override_self = true)]
struct EvalLine {
    #[command(flatten)]
    args: EvalArgs,
}

pub fn run(args: &SweepArgs) -> anyhow::Result<ExitCode> {
    let device = args.device.open()?;
    let sweep = Sweep::read(&args.file, &device)?;
    for flags in &sweep.eval {
        parse(&sweep.outdir, &Device::Cpu, flags)
            .map_err(|error| anyhow!("{}: eval \"{flags}\": {error}", args.file.display()))?;
    }
    if args.dry_run {
        let state = State::read(&sweep.outdir)?;
        for planned in &sweep.runs {
            let what = if state.is_done(planned) { "done" } else { "to train" };
            println!("{}: {what}", planned.folder.display());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let count = sweep.runs.len();
    let name = |number: usize| format!("{} ({} of {count})", sweep.runs[number].name, number + 1);
    let mut say = |event: Event| match event {
        Event::Train(number) => eprintln!("== {}", name(number)),
        Event::Skip(number) => eprintln!("== {}: done before", name(number)),
        Event::Evaluate(number, flags) => eprintln!("== {}: eval {flags}", name(number)),
        Event::Failed(number, why) => eprintln!("== {}: failed: {why}", name(number)),
    };
    let (stop, on) = (train::stop_on_signals()?, device.clone());
    let mut evaluate = |run: &Path, flags: &str| -> Result<(), String> {
        let args = parse(run, &on, flags)?;
        eval::run(&args).map(drop).map_err(|error| format!("{error:#}"))
    };
    let means = &mut Means { device, stop, evaluate: &mut evaluate, say: &mut say };
    if !sweep::run(&sweep, means)? {
        println!("Stopped. `ddgan sweep {}` continues", args.file.display());
        return Ok(ExitCode::SUCCESS);
    }
    conclude(&sweep)?;
    Ok(ExitCode::SUCCESS)
}

/// The arguments of `ddgan eval RUN --device DEVICE FLAGS`.
fn parse(run: &Path, device: &Device, flags: &str) -> Result<EvalArgs, String> {
    let first: [OsString; 3] = [run.into(), "--device".into(), device.to_string().into()];
    let words = first.into_iter().chain(flags.split_whitespace().map(Into::into));
    EvalLine::try_parse_from(words).map(|line| line.args).map_err(|error| {
        let said = error.to_string();
        // What follows would tell the usage of `ddgan eval`.
        let what = said.split("\n\nUsage").next().unwrap_or_default();
        what.strip_prefix("error: ").unwrap_or(what).trim_end().to_owned()
    })
}

/// Writes the table and the comparison of what was trained.
///
/// Errors: the disk's; runs that failed.
fn conclude(sweep: &Sweep) -> anyhow::Result<()> {
    let at = |name: &str| sweep.outdir.join(name);
    let mut state = State::read(&sweep.outdir)?;
    state.gather(&sweep.runs);
    state.write(&sweep.outdir)?;
    let trained = |planned: &&Planned| state.runs.get(&planned.name).is_some_and(|run| run.ended.is_some());
    let folders: Vec<PathBuf> = sweep.runs.iter().filter(trained).map(|planned| planned.folder.clone()).collect();
    if !folders.is_empty() {
        let comparison = Comparison::read(&folders).context("the runs are trained, and not compared")?;
        let table = comparison.markdown();
        write_atomic(at("sweep.md"), |file| file.write_all(table.as_bytes()))?;
        compare::write(&comparison, &at("compare.html"), &at("compare.png"))?;
        let written =
            ["sweep.md", "sweep.json", "compare.html", "compare.png"].map(|name| at(name).display().to_string());
        super::print(&format!("{table}\n{}\n", written.join("\n")))?;
    }
    let failed = |planned: &Planned| {
        let error = state.runs.get(&planned.name)?.error.as_ref()?;
        Some(format!("{}: {error}", planned.name))
    };
    let failed: Vec<String> = sweep.runs.iter().filter_map(failed).collect();
    if !failed.is_empty() {
        bail!("{} of {} runs failed:\n{}", failed.len(), sweep.runs.len(), failed.join("\n"));
    }
    Ok(())
}
