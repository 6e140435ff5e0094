//! `ddgan export`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;

use crate::checkpoint;
use crate::sample::{Source, Which};
use crate::tensor::{DType, Device};
use crate::train::export_discriminator;

/// Write a network for PyTorch and other programs.
///
/// The file is safetensors, with the names and layouts of the PyTorch implementation. The entry `ddgan` of the file's metadata has the configuration, as JSON. `sample` draws from such a file, too.
#[derive(Args)]
pub struct ExportArgs {
    /// A run's folder (its newest checkpoint is used), a checkpoint, or a file that `import` takes
    #[arg(value_name = "RUN")]
    source: PathBuf,
    /// The file to write, not there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The parameters as they are, not their moving average
    #[arg(long)]
    raw: bool,
    /// The discriminator in place of the generator
    #[arg(long, conflicts_with = "raw")]
    discriminator: bool,
}

pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let out = args.out.display();
    ensure!(!args.out.exists(), "{out}: there is such a file already; name another one with --out");
    if args.discriminator {
        let run = &args.source;
        export_discriminator(&if run.is_dir() { checkpoint::newest(run)? } else { run.clone() }, &args.out)?;
        println!("{out}: the discriminator's parameters");
        return Ok(ExitCode::SUCCESS);
    }
    let source = Source::open(&args.source, Which::Newest, args.raw, DType::F32, &Device::Cpu)?;
    source.note.iter().for_each(|note| eprintln!("{note}"));
    source.save(&args.out)?;
    let kind = if source.averaged { "averaged" } else { "raw" };
    println!("{out}: the generator's {kind} parameters after {} steps", source.step);
    Ok(ExitCode::SUCCESS)
}
