//! `ddgan compare`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::ensure_free;
use crate::fsutil::write_atomic;
use crate::report::Comparison;

/// Show runs side by side, as one page and as one picture.
///
/// Samples, evaluations, the distance over sampling time, losses, costs, and where the configurations differ.
#[derive(Args)]
pub struct CompareArgs {
    /// The runs' folders, two or more
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// Where to write the page
    #[arg(long, value_name = "FILE.html", default_value = "compare.html")]
    out: PathBuf,
    /// Where to write the picture
    #[arg(long, value_name = "FILE.png", default_value = "compare.png")]
    png: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
}

pub fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    ensure_free(&args.out, args.overwrite)?;
    ensure_free(&args.png, args.overwrite)?;
    let comparison = Comparison::read(&args.runs)?;
    comparison.notices().iter().for_each(|notice| eprintln!("{notice}"));
    for (name, command) in comparison.missing() {
        eprintln!("{name}: no evaluation yet; `{command}` makes one");
    }
    write(&comparison, &args.out, &args.png)?;
    println!("{}\n{}", args.out.display(), args.png.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the page and the picture.
pub fn write(comparison: &Comparison, html: &Path, png: &Path) -> anyhow::Result<()> {
    write_atomic(html, |file| file.write_all(comparison.page().as_bytes()))?;
    let picture = comparison.picture()?;
    write_atomic(png, |file| file.write_all(&picture))?;
    Ok(())
}
