//! `ddgan train-classifier`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::device::DeviceOption;
use super::ensure_free;
use crate::data::{self, DataSpec, Split};
use crate::eval::{ClassifierTraining, train_classifier};

/// Train the classifier that `eval` judges digits by.
///
/// A few minutes on one core. Its test accuracy is printed, and kept in its file.
#[derive(Args)]
pub struct TrainClassifierArgs {
    /// The data set whose classes it learns
    #[arg(value_name = "DATASET", value_parser = ["mnist", "digits"])]
    dataset: String,
    /// The folder to look for the data set in
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to write it [default: classifier-DATASET.safetensors]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    overwrite: bool,
    /// Passes over the training pictures
    #[arg(long, value_name = "N", default_value_t = ClassifierTraining::default().epochs,
          value_parser = clap::value_parser!(u64).range(1..=1000))]
    epochs: u64,
    /// Decides the first parameters and the order of the pictures
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceOption,
}

pub fn run(args: &TrainClassifierArgs) -> anyhow::Result<ExitCode> {
    let name = &args.dataset;
    let out = args.out.clone().unwrap_or_else(|| format!("classifier-{name}.safetensors").into());
    ensure_free(&out, args.overwrite)?;
    let device = args.device.open()?;
    let spec = |split| DataSpec { name: name.clone(), data_dir: args.data_dir.clone(), split, ..Default::default() };
    let (train, test) = (data::open(&spec(Split::Train))?, data::open(&spec(Split::Test))?);
    eprintln!("{}: {} pictures to train, {} to test ({})", name, train.len(), test.len(), train.origin());
    let options = ClassifierTraining { epochs: args.epochs, seed: args.seed, ..Default::default() };
    let trained = train_classifier(train, &*test, &options, &device, &mut |progress| {
        eprintln!("step {}/{}  loss {:.4}", progress.step, progress.steps, progress.loss);
    })?;
    trained.save(&out)?;
    println!("{}: {trained}", out.display());
    Ok(ExitCode::SUCCESS)
}
