//! Where the generator comes from: a run's folder, or a checkpoint in a file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::checkpoint::{self, Header, safetensors::Reader};
use crate::diffusion::{Process, ScheduleConfig};
use crate::error::{Error, Result};
use crate::models::{Generator, GeneratorConfig};
use crate::tensor::{DType, Device};

/// A trained generator and its process.
pub struct Source {
    pub generator: Generator,
    pub process: Process,
    /// The checkpoint that was read.
    pub path: PathBuf,
    /// Training steps behind it.
    pub step: u64,
    /// Whether these are averaged parameters.
    pub averaged: bool,
}

/// What sampling needs to know of a training's configuration.
#[derive(Deserialize)]
struct Model {
    schedule: ScheduleConfig,
    generator: GeneratorConfig,
}

impl Source {
    /// Reads the newest checkpoint of a run's folder, or the given one. The parameters are the averaged ones, unless
    /// there are none or `raw` asks for the others.
    ///
    /// Errors: no checkpoint, not one of ours, damaged, tensors that do not fit its own configuration.
    pub fn open(path: &Path, raw: bool, dtype: DType, device: &Device) -> Result<Source> {
        let path = if path.is_dir() { checkpoint::newest(path)? } else { path.to_path_buf() };
        let mut reader = Reader::open(&path)?;
        let header: Header<Model> = Header::read(&reader)?;
        let Model { schedule, generator } = header.config;
        let describe = |e: Error| Error::format(&path, format!("its configuration: {e}"));
        let process = Process::new(&schedule).map_err(describe)?;
        let generator = Generator::new(&generator, 0, dtype, device).map_err(describe)?;
        let averaged = !raw && checkpoint::holds(&reader, checkpoint::GENERATOR_EMA);
        let prefix = if averaged { checkpoint::GENERATOR_EMA } else { checkpoint::GENERATOR };
        checkpoint::load(&mut reader, prefix, generator.params())?;
        Ok(Source { generator, process, path, step: header.step, averaged })
    }
}
