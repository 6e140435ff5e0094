//! Where the generator comes from: a run's folder, or a checkpoint in a file.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::{Known, Model};
use crate::checkpoint::pth::Pth;
use crate::checkpoint::safetensors::{Reader, StateDict};
use crate::checkpoint::{self, Header, Tensors};
use crate::diffusion::{Process, ScheduleConfig};
use crate::error::{Error, IoContext, Result};
use crate::models::Generator;
use crate::tensor::{DType, Device};

/// A trained generator and its process.
pub struct Source {
    /// The name of the data set it learnt from.
    pub dataset: String,
    pub generator: Generator,
    pub process: Process,
    /// The checkpoint that was read.
    pub path: PathBuf,
    /// Training steps behind it; 0 if the file does not tell.
    pub step: u64,
    /// Whether these are averaged parameters.
    pub averaged: bool,
    pub schedule: ScheduleConfig,
    /// What was assumed of an imported model.
    pub note: Option<String>,
}

/// Which of a run's checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    #[default]
    Newest,
    /// The one after this many steps.
    Step(u64),
    /// The newest one after this many whole epochs.
    Epoch(u64),
}

impl Source {
    /// Reads a checkpoint, or one of those in a run's folder, or a file of the PyTorch implementation with the options
    /// that [`Known::of`] finds. The parameters are the averaged ones, unless there are none or `raw` asks for the others.
    ///
    /// Errors: no such checkpoint (lists those there are), damaged, tensors that do not fit its configuration.
    pub fn open(path: &Path, which: Which, raw: bool, dtype: DType, device: &Device) -> Result<Source> {
        Source::open_as(path, which, raw, &|_| {}, dtype, device)
    }

    /// As [`Source::open`] where the user also tells options of the model, which `set` sets.
    ///
    /// Errors: options other than the checkpoint's own; `raw` parameters of a file that has averaged ones alone.
    pub fn open_as(
        path: &Path,
        which: Which,
        raw: bool,
        set: &dyn Fn(&mut Model),
        dtype: DType,
        device: &Device,
    ) -> Result<Source> {
        let source = Source::read(&find(path, which)?, raw, set, dtype, device)?;
        if raw && source.averaged {
            let what = "holds averaged parameters alone; the raw ones are in a run's checkpoints and in content.pth";
            return Err(Error::format(source.path, what));
        }
        Ok(source)
    }

    fn read(path: &Path, raw: bool, set: &dyn Fn(&mut Model), dtype: DType, device: &Device) -> Result<Source> {
        if Pth::begins(path)? {
            return Source::import(path, raw, &Known::of(path)?, set, dtype, device);
        }
        let mut reader = Reader::open(path)?;
        reader.verify()?;
        if !Header::<IgnoredAny>::is_in(&reader) {
            return Source::import(path, raw, &Known::of(path)?, set, dtype, device);
        }
        let header: Header<Model> = Header::read(&reader)?;
        agree(path, &header.config, set)?;
        let averaged = !raw && checkpoint::holds(&reader, checkpoint::GENERATOR_EMA);
        let prefix = match averaged {
            true => checkpoint::GENERATOR_EMA,
            false if checkpoint::holds(&reader, checkpoint::GENERATOR) => checkpoint::GENERATOR,
            // A generator alone.
            false => "",
        };
        let source = Source::load(&mut reader, prefix, header.config, dtype, device)?;
        let averaged = averaged || prefix.is_empty() && source.averaged;
        Ok(Source { step: header.step, averaged, ..source })
    }

    /// Reads a file that holds parameters under the published names: a `netG_N.pth`, which has the averaged ones, a
    /// `content.pth`, which has both, or a safetensors file. `known` tells the options that names and shapes do not;
    /// `set` sets those that the user asks for.
    ///
    /// Errors: none of these, damaged, tensors that do not fit the options.
    pub fn import(
        path: &Path,
        raw: bool,
        known: &Known,
        set: &dyn Fn(&mut Model),
        dtype: DType,
        device: &Device,
    ) -> Result<Source> {
        if !Pth::begins(path)? {
            let mut tensors = StateDict(Reader::open(path)?);
            return Source::load_unknown(&mut tensors, known, set, dtype, device);
        }
        let pth = Pth::open(path)?;
        let Some(content) = pth.content()? else {
            return Source::load_unknown(&mut pth.generator()?, known, set, dtype, device);
        };
        let average = if raw { None } else { content.average()? };
        let (averaged, step) = (average.is_some(), content.global_step);
        let mut tensors = average.unwrap_or(content.generator);
        Ok(Source { averaged, step, ..Source::load_unknown(&mut tensors, known, set, dtype, device)? })
    }

    /// Reads a generator of which only the parameters are known.
    fn load_unknown(
        tensors: &mut impl Tensors,
        known: &Known,
        set: &dyn Fn(&mut Model),
        dtype: DType,
        device: &Device,
    ) -> Result<Source> {
        let model = known.resolve(tensors, set)?;
        let note = Some(known.describe(&model, tensors));
        Ok(Source { note, ..Source::load(tensors, "", model, dtype, device)? })
    }

    fn load(tensors: &mut impl Tensors, prefix: &str, model: Model, dtype: DType, device: &Device) -> Result<Source> {
        let path = tensors.path().to_path_buf();
        let describe = |e: Error| Error::format(&path, format!("its configuration: {e}"));
        let process = Process::of(model.method, model.prediction, &model.schedule).map_err(describe)?;
        // Before memory is taken for a network as large as the configuration claims.
        checkpoint::check(tensors, prefix, &Generator::outline(&model.generator).map_err(describe)?)?;
        let generator = Generator::new(&model.generator, 0, dtype, device).map_err(describe)?;
        checkpoint::load(tensors, prefix, generator.params())?;
        let Model { dataset, schedule, averaged, .. } = model;
        Ok(Source { dataset, generator, process, path, step: 0, averaged, schedule, note: None })
    }

    /// Writes the generator alone, under the published names, with its configuration.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (generator, schedule) = (self.generator.config().clone(), self.schedule.clone());
        let (method, prediction, dataset) = (self.process.method(), self.process.prediction(), self.dataset.clone());
        let config = Model { method, prediction, dataset, schedule, generator, averaged: self.averaged };
        let (format, step) = (checkpoint::FORMAT, self.step);
        let header = Header { format, step, epoch: 0, seed: 0, pictures: None, updates: None, config };
        header.write(path, &checkpoint::entries("", self.generator.params()).collect::<Vec<_>>())
    }
}

/// Errors: `set` would set an option of a checkpoint to another value.
fn agree(path: &Path, own: &Model, set: &dyn Fn(&mut Model)) -> Result<()> {
    let mut told = own.clone();
    set(&mut told);
    let differences = checkpoint::differences(own, &told);
    if differences.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = differences.iter().map(|[key, own, told]| format!("{key} is {own}, not {told}")).collect();
    let what = "is of another model than the options say; leave them out, it knows its own:";
    Err(Error::format(path, format!("{what} {}", list.join(", "))))
}

/// The file of a checkpoint.
fn find(path: &Path, which: Which) -> Result<PathBuf> {
    if !path.exists() {
        return Err(Error::NotFound(format!("{}: there is no such run's folder or checkpoint", path.display())));
    }
    if !path.is_dir() {
        return match which {
            Which::Newest => Ok(path.to_path_buf()),
            _ => Err(Error::config(format!(
                "{} is a single checkpoint; a step or an epoch can be picked from a run's folder",
                path.display()
            ))),
        };
    }
    let all = checkpoint::all(path)?;
    // A folder of the published program, which counts in epochs.
    let published = if all.is_empty() { published(path)? } else { Vec::new() };
    let (kind, wanted) = match (which, published.last()) {
        (Which::Newest, Some((_, file))) => return Ok(file.clone()),
        (Which::Newest, None) => return checkpoint::newest(path),
        (Which::Step(step), _) => ("step", step),
        (Which::Epoch(epoch), _) => ("epoch", epoch),
    };
    let number_of = |(step, file): (u64, PathBuf)| match which {
        Which::Epoch(_) => Ok((Header::<IgnoredAny>::read(&Reader::open(&file)?)?.epoch, file)),
        _ => Ok((step, file)),
    };
    let published = published.into_iter().filter(|_| kind == "epoch").map(Ok);
    let mut numbers = Vec::new();
    for numbered in all.into_iter().map(number_of).chain(published).rev() {
        let (number, file) = numbered?;
        if number == wanted {
            return Ok(file);
        }
        numbers.push(number);
    }
    numbers.dedup();
    let listed = numbers.iter().rev().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let there_are = if numbers.is_empty() { "none at all".into() } else { format!("those of {kind} {listed}") };
    Err(Error::NotFound(format!("{} has no checkpoint of {kind} {wanted}; there are {there_are}", path.display())))
}

/// The files `netG_N.pth` of a folder, by their epochs.
fn published(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).at(folder, "read")? {
        let path = entry.at(folder, "read")?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let epoch = name.and_then(|name| name.strip_prefix("netG_")?.strip_suffix(".pth")?.parse().ok());
        found.extend(epoch.map(|epoch| (epoch, path)));
    }
    found.sort();
    Ok(found)
}
