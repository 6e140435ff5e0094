//! `ddgan report`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::device::DeviceOption;
use super::ensure_free;
use crate::fsutil::write_atomic;
use crate::report::{Record, RunPage, run_page};

/// Show a run as one page, also while it trains.
///
/// Curves, the grids of pictures over time, how a sample comes out of noise, evaluations and the configuration, all in
/// one file that loads nothing from elsewhere.
#[derive(Args)]
pub struct ReportArgs {
    /// The run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Where to write the page [default: report.html in the run's folder, which is replaced]
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    overwrite: bool,
    /// Decides the noise that the sample is drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceOption,
}

pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let record = Record::read(&args.run)?;
    let out = args.out.clone().unwrap_or_else(|| args.run.join("report.html"));
    if args.out.is_some() {
        ensure_free(&out, args.overwrite)?;
    }
    let RunPage { html, notices } = run_page(&record, args.seed, &args.device.open()?)?;
    notices.iter().for_each(|notice| eprintln!("{notice}"));
    write_atomic(&out, |file| file.write_all(html.as_bytes()))?;
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}
