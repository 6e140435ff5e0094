//! `ddgan import`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::Args;

use super::switches::TrainingSwitches;
use super::train::Options;
use crate::checkpoint::pth::Pth;
use crate::sample::{Known, Model, Source};
use crate::tensor::{DType, Device};
use crate::train::{self, Import, PRESETS, TrainConfig};

/// Take over generators and trainings of the PyTorch implementation.
///
/// A netG_N.pth becomes a safetensors file that `sample` draws from. A content.pth becomes the folder of a run, which
/// `train --resume` continues; with --out, its generator alone. Nothing that a file contains is executed.
///
/// Widths, blocks and levels follow from the file. What does not (the size of the pictures, the schedule) is taken from
/// flags, from a content.pth beside the file, and else as published, which is said.
#[derive(Args)]
pub struct ImportArgs {
    /// A netG_N.pth, a content.pth, or a safetensors file with the same names
    file: PathBuf,
    /// Where to write the generator: a file, or a folder for NAME.safetensors [default: beside FILE]
    #[arg(long, value_name = "PATH", conflicts_with = "outdir")]
    out: Option<PathBuf>,
    /// Where to write a training: a folder that is empty or not there yet [default: the next free runs/NNNNN-DATASET]
    #[arg(long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Of a content.pth, write the generator's parameters as they are, not their moving average
    #[arg(long, requires = "out")]
    raw: bool,
    /// Take what the file does not tell from a preset
    #[arg(long, value_name = "PRESET", value_parser = PRESETS.map(|(name, _)| name))]
    preset: Option<String>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    switches: TrainingSwitches,
}

pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let warnings = args.switches.warnings.iter().chain(&args.options.network.switches.warnings);
    warnings.for_each(|warning| eprintln!("warning: {warning}"));
    let holds_training = Pth::begins(&args.file)? && Pth::open(&args.file)?.content()?.is_some();
    if holds_training && args.out.is_none() { args.import_training() } else { args.import_generator() }
}

impl ImportArgs {
    fn import_training(&self) -> anyhow::Result<ExitCode> {
        let base = self.preset.as_deref().map(train::preset).transpose()?.unwrap_or_default();
        let import = Import::read(&self.file, &base, &|config| self.set(config))?;
        import.notes.iter().for_each(|note| eprintln!("{}: {note}", self.file.display()));
        let dir = import.save(self.outdir.as_deref(), &import.config().dataset)?;
        let (step, run) = (import.step(), dir.path().display());
        println!("The training after step {step} is in {run}. `ddgan train --resume {run}` continues it");
        Ok(ExitCode::SUCCESS)
    }

    fn import_generator(&self) -> anyhow::Result<ExitCode> {
        let file = self.file.display();
        ensure!(self.outdir.is_none(), "{file} holds a generator alone, no training; use --out in place of --outdir");
        let out = self.out()?;
        let known = match &self.preset {
            None => Known::of(&self.file)?,
            Some(name) => {
                let TrainConfig { method, prediction, dataset, schedule, generator, .. } = train::preset(name)?;
                let image_size = Some(generator.image_size);
                let model = Model { method, prediction, dataset, schedule, generator, averaged: true };
                Known { model, image_size, origin: format!("preset {name}") }
            }
        };
        let set = |config: &mut TrainConfig| self.set(config);
        let set = train::for_model(&set);
        let source = Source::import(&self.file, self.raw, &known, &set, DType::F32, &Device::Cpu)?;
        source.note.iter().for_each(|note| eprintln!("{note}"));
        source.save(&out)?;
        println!("The generator is in {0}. `ddgan sample {0}` draws from it", out.display());
        Ok(ExitCode::SUCCESS)
    }

    fn set(&self, config: &mut TrainConfig) {
        self.options.apply(config);
        self.switches.apply(config);
    }

    /// Where to write the generator; never over a file.
    fn out(&self) -> anyhow::Result<PathBuf> {
        let beside = self.file.with_extension("safetensors");
        let out = match &self.out {
            Some(folder) if folder.is_dir() => folder.join(beside.file_name().unwrap_or_default()),
            Some(path) => path.clone(),
            None => beside,
        };
        if out.exists() {
            bail!("{}: there is such a file already; name another one with --out", out.display());
        }
        Ok(out)
    }
}
