//! The folder of a run: what it was asked, what it measured, what it drew, and what it takes to continue.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{Stats, TrainConfig};
use crate::error::{Error, IoContext, Result};
use crate::fsutil::write_atomic;

/// The parent of the folders that are named by the program.
const RUNS: &str = "runs";
const STATS: &str = "stats.jsonl";

/// The folder that the published program gives to a training: `saved_info/dd_gan/<dataset>/<exp>`.
pub fn published_folder(dataset: &str, exp: &str) -> PathBuf {
    Path::new("saved_info").join("dd_gan").join(dataset).join(exp)
}

/// A folder that belongs to this run alone.
pub struct RunDir {
    path: PathBuf,
    stats: File,
}

impl RunDir {
    /// Takes `outdir`, which must be empty or not there, or the next free `runs/NNNNN-<name>`.
    ///
    /// Errors: a folder with files in it, one that another run takes at the same moment, the disk's.
    pub fn create(outdir: Option<&Path>, name: &str) -> Result<RunDir> {
        let path = match outdir {
            Some(path) => path.to_path_buf(),
            None => next_numbered(Path::new(RUNS), name)?,
        };
        fs::create_dir_all(&path).at(&path, "make the folder")?;
        if fs::read_dir(&path).at(&path, "read")?.next().is_some() {
            return Err(occupied(&path));
        }
        // Of two runs that find it empty, one gets to make the file.
        let stats = match File::create_new(path.join(STATS)) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(occupied(&path)),
            file => file.at(path.join(STATS), "write")?,
        };
        for folder in ["grids", "checkpoints"] {
            fs::create_dir(path.join(folder)).at(path.join(folder), "make the folder")?;
        }
        Ok(RunDir { path, stats })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `config.toml`.
    pub fn write_config(&self, config: &TrainConfig) -> Result<()> {
        let text = config.to_toml()?;
        write_atomic(self.path.join("config.toml"), |file| file.write_all(text.as_bytes()))
    }

    /// Adds a line to `stats.jsonl`.
    pub fn append_stats(&mut self, stats: &Stats) -> Result<()> {
        let line = serde_json::to_string(stats).expect("numbers") + "\n";
        self.stats.write_all(line.as_bytes()).at(self.path.join(STATS), "write")
    }

    /// The grid of pictures after `step` steps.
    pub fn grid(&self, step: u64) -> PathBuf {
        self.path.join("grids").join(format!("step-{step:06}.png"))
    }

    /// The grid of pictures at the end.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples.png")
    }
}

fn occupied(path: &Path) -> Error {
    Error::config(format!(
        "{} is not empty: a run needs a folder of its own; name another one with --outdir, or leave --outdir out for \
         the next free one in {RUNS}/",
        path.display(),
    ))
}

/// Makes the folder `NNNNN-<name>` with the number after the largest one in `parent`.
fn next_numbered(parent: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(parent).at(parent, "make the folder")?;
    let number = |name: &str| name.split_once('-').and_then(|(number, _)| number.parse::<u32>().ok());
    let mut next = 0;
    for entry in fs::read_dir(parent).at(parent, "read")? {
        let entry = entry.at(parent, "read")?;
        next = next.max(entry.file_name().to_str().and_then(number).map_or(0, |n| n.saturating_add(1)));
    }
    loop {
        let path = parent.join(format!("{next:05}-{name}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            // Another run was faster.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => next += 1,
            Err(e) => return Err(e).at(&path, "make the folder"),
        }
    }
}
