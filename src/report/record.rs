//! What the folder of a run tells, also while it trains.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::measured::{Measured, newest_of_each_kind};
use crate::checkpoint;
use crate::diffusion::Method;
use crate::error::{Error, IoContext, Result};
use crate::train::{self, Earlier, Footprint, TrainConfig};

/// A run as it is on the disk.
#[derive(Clone, Debug)]
pub struct Record {
    pub folder: PathBuf,
    pub config: TrainConfig,
    /// The whole lines of `stats.jsonl`.
    pub lines: Vec<Line>,
    /// The grids of pictures by their steps, and the one at the end.
    pub grids: Vec<(u64, PathBuf)>,
    pub samples: Option<PathBuf>,
    /// The newest evaluation of each kind in `metrics.jsonl`.
    pub evaluations: Vec<Measured>,
    /// Numbers in the parameters of generator and discriminator; 0 for a network that there is not.
    pub parameters: [u128; 2],
    /// What is missing or damaged.
    pub notices: Vec<String>,
}

/// A line of `stats.jsonl`. What a method has not, or what was not finite, is not there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Line {
    pub step: u64,
    pub epoch: u64,
    pub loss_d_real: Option<f64>,
    pub loss_d_fake: Option<f64>,
    pub loss_r1: Option<f64>,
    pub loss_x0: Option<f64>,
    pub loss_g: Option<f64>,
    pub lr_g: Option<f64>,
    pub lr_d: Option<f64>,
    pub images_per_s: Option<f64>,
    /// Spent on the run so far.
    pub seconds: f64,
    pub peak_memory_mib: Option<f64>,
}

/// The largest file of lines that is read.
const LARGEST: u64 = 256 << 20;

impl Record {
    /// Errors: not the folder of a run; a configuration that cannot be read; the disk's.
    pub fn read(folder: &Path) -> Result<Record> {
        let shown = folder.display();
        if !folder.exists() {
            return Err(Error::NotFound(format!("{shown}: there is no such folder")));
        }
        if !train::is_run(folder) {
            let what = "is no run's folder: neither a config.toml nor checkpoints are in it. Name one that `ddgan train` \
                        made, such as runs/00000-digits";
            return Err(Error::config(format!("{shown} {what}")));
        }
        let config = Earlier::at(folder)?.config().clone();
        let mut notices = Vec::new();
        let lines = read_lines(&folder.join("stats.jsonl"), &mut notices)?;
        let measured = read_lines(&folder.join("metrics.jsonl"), &mut notices)?;
        let Footprint { generator, discriminator, .. } = Footprint::of(&config)?;
        Ok(Record {
            grids: checkpoint::by_steps(&folder.join("grids"), "png")?,
            samples: Some(folder.join("samples.png")).filter(|path| path.is_file()),
            evaluations: newest_of_each_kind(measured),
            parameters: [generator, discriminator],
            folder: folder.to_path_buf(),
            config,
            lines,
            notices,
        })
    }

    /// The last part of the folder's path.
    pub fn name(&self) -> String {
        // That of `.` is the folder's own.
        let path = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        path.file_name().map_or("run".into(), |name| name.to_string_lossy().into_owned())
    }

    /// Steps that the statistics tell of.
    pub fn steps(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.step)
    }

    /// Seconds spent on them.
    pub fn seconds(&self) -> f64 {
        self.lines.last().map_or(0.0, |line| line.seconds)
    }

    /// Pictures or points that these steps have seen.
    pub fn images(&self) -> u64 {
        self.steps().saturating_mul(self.config.batch_size as u64)
    }

    /// What is trained, for people.
    pub fn method(&self) -> &'static str {
        match self.config.method {
            Method::Ddgan => "DDGAN",
            Method::Ddpm => "DDPM",
            Method::OneShot => "one-shot GAN",
        }
    }

    /// Whether the run draws points in the plane.
    pub fn draws_points(&self) -> bool {
        self.config.generator.image_size == 1
    }
}

/// The lines of a file that can be read, none if there is no such file.
///
/// Errors: the disk's; a file that is too large to be one.
fn read_lines<T: DeserializeOwned>(path: &Path, notices: &mut Vec<String>) -> Result<Vec<T>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.at(path, "read")?,
    };
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text).at(path, "read")?;
    if text.len() as u64 > LARGEST {
        return Err(Error::format(path, "is larger than 256 MiB, which no run writes; move it away"));
    }
    let shown = path.display();
    let (mut lines, mut damaged) = (Vec::new(), 0);
    for line in text.split_inclusive(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        match serde_json::from_slice(line) {
            Ok(line) => lines.push(line),
            Err(_) if !line.ends_with(b"\n") => notices.push(format!("{shown}: its last line is cut off and left out")),
            Err(_) => damaged += 1,
        }
    }
    if damaged > 0 {
        notices.push(format!("{shown}: {damaged} damaged lines are left out"));
    }
    Ok(lines)
}
