//! `ddgan eval`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::device::DeviceOption;
use super::network::variant;
use super::sample::advise;
use super::sampler::SamplerOptions;
use crate::data::picture::Filter;
use crate::data::toys::Kind;
use crate::data::{self, DataSpec, Dataset, Fit, ImageShape, Split};
use crate::eval::{self, Evaluation, Extractor, Options, Reference, SavedClassifier, SavedInception, Statistics};
use crate::eval::{Subject, run_of};
use crate::sample::{Source, Which};
use crate::tensor::{DType, Device};
use crate::train::Earlier;

/// Measure pictures beside a data set: distances, coverage, modes.
///
/// Features are those of Inception-v3 from a file that you have (--inception), which FID is defined with, or, with
/// classes, those of a classifier that `ddgan train-classifier` has trained. Pictures are rounded to bytes first, as in a
/// file. Of points in the plane it counts the modes. An evaluation that was stopped goes on where it was when it is called
/// again in the same folder.
#[derive(Args)]
pub struct EvalArgs {
    /// A run's folder, a checkpoint file, or pictures: a folder, a .zip or an .npz file, which may also hold points
    #[arg(value_name = "SUBJECT")]
    subject: PathBuf,
    /// The checkpoint after N steps [default: the newest]
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// Use the parameters as they are, not their moving average
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    sampler: SamplerOptions,

    /// The data set to compare with, by name or path [default: the one that the generator learnt]
    #[arg(long, help_heading = "Data", value_name = "NAME", alias = "dataset")]
    data: Option<String>,
    /// The folder to look for it in
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Compare with its test pictures
    #[arg(long, help_heading = "Data")]
    test: bool,
    /// How many of its pictures, evenly spread [default: all]
    #[arg(long, help_heading = "Data", value_name = "N", value_parser = at_least_2())]
    data_count: Option<u64>,
    /// The filter that its pictures are resized with: box, bilinear, bicubic or lanczos [default: the run's, else bilinear]
    #[arg(long, help_heading = "Data", value_name = "FILTER", value_parser = variant::<Filter>)]
    resize_filter: Option<Filter>,
    /// Compare with saved statistics instead: .npz, or .npy as older programs have it
    #[arg(long, help_heading = "Data", value_name = "FILE", conflicts_with_all = ["data", "data_count", "test", "resize_filter"])]
    stats: Option<PathBuf>,
    /// Save the data set's statistics, for --stats: mu and sigma in an .npz
    #[arg(long, help_heading = "Data", value_name = "FILE.npz", conflicts_with = "stats")]
    save_stats: Option<PathBuf>,

    /// The classifier [default: classifier-NAME.safetensors of the data set, in this folder]
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// Take the features of Inception-v3, with which FID is defined: pt_inception-2015-12-05-6726825d.pth, or the same
    /// as .safetensors. Nothing is downloaded
    #[arg(long, value_name = "FILE", conflicts_with = "classifier")]
    inception: Option<PathBuf>,
    /// Judge what JPEG leaves of the pictures (quality 75, as Pillow saves by default), as the published numbers do
    #[arg(long)]
    via_jpeg: bool,
    /// How many pictures or points [default: 10000, of stackmnist 26000]
    #[arg(long, value_name = "N", value_parser = at_least_2())]
    count: Option<u64>,
    /// How many pictures at once: fewer take less memory [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Option<u32>,
    /// Decides the noise that pictures are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print the result for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceOption,
}

fn at_least_2() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(2..=100_000_000)
}

pub fn run(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    let device = args.device.open()?;
    let subject = args.subject(&device)?;
    let mut found = match subject.shape() {
        ImageShape::POINT => args.judge_points(&subject)?,
        _ => args.judge_pictures(&subject, &device)?,
    };
    found.subject = args.subject.display().to_string();
    if let Subject::Generator { source, .. } = &subject
        && let Some(run) = run_of(&source.path)
    {
        append(&run.join("metrics.jsonl"), &found)?;
    }
    match args.json {
        true => super::print(&(serde_json::to_string_pretty(&found)? + "\n"))?,
        false => super::print(&found.to_string())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how far it is, in some ten lines for each thing that takes its time.
fn progress() -> impl FnMut(&str, usize, usize) {
    let mut said = (String::new(), 0);
    move |what, done, of| {
        let now = (what.to_owned(), done * 10 / of);
        if now != said {
            eprintln!("{what}: {done} of {of}");
            said = now;
        }
    }
}

fn append(path: &Path, found: &Evaluation) -> anyhow::Result<()> {
    let line = serde_json::to_string(found)? + "\n";
    let file = File::options().create(true).append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.with_context(|| format!("{}: cannot write", path.display()))
}

impl EvalArgs {
    /// Counts modes, which takes nothing but the points.
    fn judge_points(&self, subject: &Subject) -> anyhow::Result<Evaluation> {
        let given = [
            ("--classifier", self.classifier.is_some()),
            ("--inception", self.inception.is_some()),
            ("--via-jpeg", self.via_jpeg),
            ("--batch", self.batch.is_some()),
            ("--stats", self.stats.is_some()),
            ("--save-stats", self.save_stats.is_some()),
            ("--data-count", self.data_count.is_some()),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
            bail!("{flag} is for pictures, and {} holds points; leave it out", self.subject.display());
        }
        let name = self.data_name(subject)?;
        let kind = Kind::by_name(&name).with_context(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            format!("`{name}` is no data set of points; there are: {names}")
        })?;
        Ok(eval::evaluate_points(subject, kind, self.split(), self.count(10_000), self.seed, &mut progress())?)
    }

    /// Compares features and classes with those of a data set.
    fn judge_pictures(&self, subject: &Subject, device: &Device) -> anyhow::Result<Evaluation> {
        let name = self.data_name(subject)?;
        let extractor = self.extractor(&name, device)?;
        let data = match &self.stats {
            Some(_) => None,
            None => Some(data::open(&self.spec(&name, subject))?),
        };
        let reference = match (&data, &self.stats) {
            (Some(data), _) => Reference::Data(&**data as &dyn Dataset, self.split()),
            (None, stats) => {
                let path = stats.as_deref().expect("one of the two");
                Reference::Statistics(Statistics::read(path)?, path.display().to_string())
            }
        };
        let options = Options {
            count: self.count(if name == "stackmnist" { 26_000 } else { 10_000 }),
            data_count: self.data_count.map_or(usize::MAX, |count| count as usize),
            batch: self.batch.map_or(100, |batch| batch as usize),
            seed: self.seed,
            via_jpeg: self.via_jpeg,
            keep: Some(PathBuf::from(".")),
        };
        let found = eval::evaluate(subject, &reference, &*extractor, &options, &mut progress());
        let (found, statistics) = found.map_err(|error| advise(error, options.batch))?;
        if let Some(path) = &self.save_stats {
            statistics.write(path)?;
            eprintln!("{}: statistics of {}", path.display(), found.data);
        }
        Ok(found)
    }

    fn count(&self, default: usize) -> usize {
        self.count.map_or(default, |count| count as usize)
    }

    fn split(&self) -> Split {
        if self.test { Split::Test } else { Split::Train }
    }

    fn subject(&self, device: &Device) -> anyhow::Result<Subject> {
        let path = &self.subject;
        ensure!(path.exists(), "{}: there is no such folder or file", path.display());
        if let Some(pictures) = Subject::open_pictures(path)? {
            let drawing = self.step.is_some() || self.raw || self.sampler.is_given();
            ensure!(!drawing, "{} holds pictures, no generator", path.display());
            return Ok(pictures);
        }
        let which = self.step.map_or(Which::Newest, Which::Step);
        let source = self.sampler.apply(Source::open(path, which, self.raw, DType::F32, device)?)?;
        if let Some(note) = &source.note {
            eprintln!("{note}");
        }
        Ok(Subject::Generator { source: Box::new(source), seed: self.seed, device: device.clone() })
    }

    /// The data set that is meant.
    fn data_name(&self, subject: &Subject) -> anyhow::Result<String> {
        match (&self.data, subject) {
            (Some(name), _) => Ok(name.clone()),
            (None, Subject::Generator { source, .. }) if !source.dataset.is_empty() => Ok(source.dataset.clone()),
            // Not needed beside a classifier and statistics.
            (None, _) if self.stats.is_some() => Ok(String::new()),
            _ => bail!("{}: name the data set to compare with: --data NAME", self.subject.display()),
        }
    }

    /// The data set in the form that the generator learnt it in.
    fn spec(&self, name: &str, subject: &Subject) -> DataSpec {
        let ImageShape { height, channels, .. } = subject.shape();
        let run = match subject {
            Subject::Generator { source, .. } => run_of(&source.path),
            _ => None,
        };
        let of_run = run.and_then(|run| Some(Earlier::at(&run).ok()?.config().resize_filter));
        let filter = self.resize_filter.or(of_run).unwrap_or_default();
        DataSpec {
            name: name.to_string(),
            data_dir: self.data_dir.clone(),
            split: self.split(),
            fit: Fit { size: Some(height), channels: Some(channels), filter },
            seed: 0,
        }
    }

    fn extractor(&self, data: &str, device: &Device) -> anyhow::Result<Box<dyn Extractor>> {
        Ok(match &self.inception {
            Some(path) => Box::new(SavedInception::open(path, device)?),
            None => Box::new(self.classifier(data, device)?),
        })
    }

    fn classifier(&self, data: &str, device: &Device) -> anyhow::Result<SavedClassifier> {
        if let Some(path) = &self.classifier {
            return Ok(SavedClassifier::open(path, device)?);
        }
        let digits = if data == "stackmnist" { "mnist" } else { data };
        ensure!(
            ["mnist", "digits"].contains(&digits),
            "there is no classifier for data set `{data}`; name Inception's weights with --inception FILE, or a classifier \
             of its own with --classifier FILE"
        );
        let path = PathBuf::from(format!("classifier-{digits}.safetensors"));
        ensure!(
            path.exists(),
            "{} is not here: train it with `ddgan train-classifier {digits}`, or name it with --classifier FILE",
            path.display()
        );
        Ok(SavedClassifier::open(&path, device)?)
    }
}
