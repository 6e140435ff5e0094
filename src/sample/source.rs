//! Where the generator comes from: a run's folder, or a checkpoint in a file.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::checkpoint::{self, Header, safetensors::Reader};
use crate::diffusion::{Process, ScheduleConfig};
use crate::error::{Error, Result};
use crate::models::{Generator, GeneratorConfig};
use crate::tensor::{DType, Device};

/// A trained generator and its process.
pub struct Source {
    /// The name of the data set it learnt from.
    pub dataset: String,
    pub generator: Generator,
    pub process: Process,
    /// The checkpoint that was read.
    pub path: PathBuf,
    /// Training steps behind it.
    pub step: u64,
    /// Whether these are averaged parameters.
    pub averaged: bool,
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

/// What sampling needs to know of a training's configuration.
#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    dataset: String,
    schedule: ScheduleConfig,
    generator: GeneratorConfig,
}

impl Source {
    /// Reads a checkpoint, or one of those in a run's folder. The parameters are the averaged ones, unless there are
    /// none or `raw` asks for the others.
    ///
    /// Errors: no such checkpoint (lists those there are), not one of ours, damaged, tensors that do not fit its own
    /// configuration.
    pub fn open(path: &Path, which: Which, raw: bool, dtype: DType, device: &Device) -> Result<Source> {
        let path = find(path, which)?;
        let mut reader = Reader::open(&path)?;
        reader.verify()?;
        let header: Header<Model> = Header::read(&reader)?;
        let Model { dataset, schedule, generator } = header.config;
        let describe = |e: Error| Error::format(&path, format!("its configuration: {e}"));
        let process = Process::new(&schedule).map_err(describe)?;
        let generator = Generator::new(&generator, 0, dtype, device).map_err(describe)?;
        let averaged = !raw && checkpoint::holds(&reader, checkpoint::GENERATOR_EMA);
        let prefix = if averaged { checkpoint::GENERATOR_EMA } else { checkpoint::GENERATOR };
        checkpoint::load(&mut reader, prefix, generator.params())?;
        Ok(Source { dataset, generator, process, path, step: header.step, averaged })
    }
}

/// The file of a checkpoint.
fn find(path: &Path, which: Which) -> Result<PathBuf> {
    if !path.is_dir() {
        return match which {
            Which::Newest => Ok(path.to_path_buf()),
            _ => Err(Error::config(format!(
                "{} is a single checkpoint; a step or an epoch can be picked from a run's folder",
                path.display()
            ))),
        };
    }
    let (kind, wanted) = match which {
        Which::Newest => return checkpoint::newest(path),
        Which::Step(step) => ("step", step),
        Which::Epoch(epoch) => ("epoch", epoch),
    };
    let mut numbers = Vec::new();
    for (step, file) in checkpoint::all(path)?.into_iter().rev() {
        let number = match which {
            Which::Epoch(_) => Header::<IgnoredAny>::read(&Reader::open(&file)?)?.epoch,
            _ => step,
        };
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
