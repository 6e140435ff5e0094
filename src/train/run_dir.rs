//! The folder of a run: what it was asked, what it measured, what it drew, and what it takes to continue.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Stats, TrainConfig};
use crate::checkpoint;
use crate::error::{Error, IoContext, Result};
use crate::fsutil::{remove_leftovers, write_atomic};

/// The parent of the folders that are named by the program.
pub const RUNS: &str = "runs";
const CONFIG: &str = "config.toml";
const STATS: &str = "stats.jsonl";
const GRIDS: &str = "grids";
/// Held as long as a training works in the folder. It stays: whoever removed it could take away another one's.
const LOCK: &str = ".lock";

/// The folder that the published program gives to a training: `saved_info/dd_gan/<dataset>/<exp>`.
pub fn published_folder(dataset: &str, exp: &str) -> PathBuf {
    Path::new("saved_info").join("dd_gan").join(short_name(dataset)).join(exp)
}

/// A data set's name as part of a folder's: of a path its last part.
pub fn short_name(dataset: &str) -> &str {
    Path::new(dataset).file_name().and_then(|name| name.to_str()).unwrap_or("data")
}

/// A folder that belongs to this run alone.
pub struct RunDir {
    path: PathBuf,
    stats: File,
    /// The line that `stats.jsonl` ends with.
    last: Option<Line>,
    _lock: File,
}

/// What is looked at in a line of statistics.
#[derive(Clone, Copy, Deserialize)]
struct Line {
    step: u64,
    seconds: f64,
}

impl RunDir {
    /// Takes `outdir`, which must be empty or not there, or the next free `runs/NNNNN-<name>`, and writes
    /// `config.toml`; from then on the run can be resumed.
    ///
    /// Errors: a folder with files in it, one that another run takes at the same moment, the disk's.
    pub fn create(outdir: Option<&Path>, name: &str, config: &TrainConfig) -> Result<RunDir> {
        let path = match outdir {
            Some(path) => path.to_path_buf(),
            None => next_numbered(Path::new(RUNS), name)?,
        };
        fs::create_dir_all(&path).at(&path, "make the folder")?;
        check_free(&path)?;
        let lock = lock(&path)?;
        // Another run may have come and gone in between.
        check_free(&path)?;
        write_config(&path, config)?;
        Self::locked(&path, lock)
    }

    /// Takes the folder of an earlier run.
    ///
    /// Errors: a training is at work in it; the disk's.
    pub fn open(path: &Path) -> Result<RunDir> {
        Self::locked(path, lock(path)?)
    }

    fn locked(path: &Path, lock: File) -> Result<RunDir> {
        for folder in [GRIDS, checkpoint::FOLDER].map(|folder| path.join(folder)) {
            fs::create_dir_all(&folder).at(&folder, "make the folder")?;
        }
        remove_leftovers(&path.join(checkpoint::FOLDER))?;
        let stats = File::options().create(true).append(true).open(path.join(STATS)).at(path.join(STATS), "write")?;
        Ok(RunDir { path: path.to_path_buf(), stats, last: None, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `config.toml` anew, if it is another one.
    pub fn update_config(&self, config: &TrainConfig) -> Result<()> {
        if read_config(&self.path)?.as_ref() == Some(config) { Ok(()) } else { write_config(&self.path, config) }
    }

    /// Takes back what was written after step `step`: grids and lines of statistics, torn ones too. The line of the
    /// step itself stays if `with_line`.
    pub fn rewind(&mut self, step: u64, with_line: bool) -> Result<()> {
        let path = self.path.join(STATS);
        let length = self.stats.metadata().at(&path, "read")?.len();
        let mut lines = BufReader::new(File::open(&path).at(&path, "read")?.take(length));
        let (mut line, mut end, mut kept) = (Vec::new(), 0, 0);
        while lines.read_until(b'\n', &mut line).at(&path, "read")? > 0 {
            end += line.len() as u64;
            let parsed = line.ends_with(b"\n").then(|| serde_json::from_slice::<Line>(&line).ok()).flatten();
            if let Some(parsed) = parsed.filter(|l| l.step < step || l.step == step && with_line) {
                (kept, self.last) = (end, Some(parsed));
            }
            line.clear();
        }
        if kept < length {
            self.stats.set_len(kept).at(&path, "cut")?;
        }
        for (_, path) in checkpoint::by_steps(&self.path.join(GRIDS), "png")?.iter().filter(|(at, _)| *at > step) {
            fs::remove_file(path).at(path, "remove")?;
        }
        Ok(())
    }

    /// Adds a line to `stats.jsonl`.
    pub fn append_stats(&mut self, stats: &Stats) -> Result<()> {
        let line = serde_json::to_string(stats).expect("numbers") + "\n";
        self.stats.write_all(line.as_bytes()).at(self.path.join(STATS), "write")?;
        self.last = Some(Line { step: stats.step, seconds: stats.seconds });
        Ok(())
    }

    /// The step of the last line of statistics, and the seconds it tells.
    pub fn last_stats(&self) -> Option<(u64, f64)> {
        self.last.map(|Line { step, seconds }| (step, seconds))
    }

    /// Lines of statistics that a checkpoint builds on should outlive a failure of power as it does. They are not
    /// worth an error.
    pub fn flush_stats(&self) {
        let _ = self.stats.sync_data();
    }

    /// The grid of pictures after `step` steps.
    pub fn grid(&self, step: u64) -> PathBuf {
        self.path.join(GRIDS).join(format!("step-{step:06}.png"))
    }

    /// The grid of pictures at the end.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples.png")
    }
}

/// Whether this is the folder of a run that can be resumed.
pub fn is_run(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() || checkpoint::all(folder).is_ok_and(|all| !all.is_empty())
}

/// The configuration in a run's folder, if there is one.
///
/// Errors: it cannot be read.
pub fn read_config(run: &Path) -> Result<Option<TrainConfig>> {
    let path = run.join(CONFIG);
    let text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.at(&path, "read")?,
    };
    TrainConfig::from_toml(&text).map(Some).map_err(|e| {
        Error::format(&path, format!("{e}\nCorrect it, or remove it: the checkpoints hold the configuration too"))
    })
}

fn write_config(run: &Path, config: &TrainConfig) -> Result<()> {
    let text = config.to_toml()?;
    write_atomic(run.join(CONFIG), |file| file.write_all(text.as_bytes()))
}

/// Takes the folder until the file is dropped or the process ends, in whatever way.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).at(&path, "open")?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.take(32).read_to_string(&mut holder);
            return Err(Error::config(format!(
                "{}: another training is at work in this folder (process {}): wait for its end, or stop it",
                folder.display(),
                holder.trim()
            )));
        }
        // Some network file systems have no locks: rather unguarded than not at all.
        Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {}
        Err(TryLockError::Error(e)) => return Err(e).at(&path, "lock"),
    }
    // For the message above alone.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// Errors: there are files in the folder. Hidden ones do not count.
fn check_free(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at(folder, "read")? {
        if !entry.at(folder, "read")?.file_name().as_encoded_bytes().starts_with(b".") {
            return Err(Error::config(format!(
                "{} is not empty: a run needs a folder of its own; continue the run in it with --resume, name another \
                 folder with --outdir, or leave --outdir out for the next free one in {RUNS}/",
                folder.display(),
            )));
        }
    }
    Ok(())
}

/// The folders `NNNNN-<name>` of a folder: number, name and path, by their numbers.
pub fn numbered(parent: &Path) -> Result<Vec<(u32, String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent).at(parent, "read")? {
        let path = entry.at(parent, "read")?.path();
        let parts = path.file_name().and_then(|name| name.to_str()?.split_once('-'));
        if let Some((Ok(number), name)) = parts.map(|(number, name)| (number.parse(), name.to_string())) {
            found.push((number, name, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the folder `NNNNN-<name>` with the number after the largest one in `parent`.
fn next_numbered(parent: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(parent).at(parent, "make the folder")?;
    let mut next = numbered(parent)?.last().map_or(0, |(number, ..)| number.saturating_add(1));
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
