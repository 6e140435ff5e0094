//! Continuing an earlier run: which one, from which of its checkpoints, and what may be changed.

use std::path::{Path, PathBuf};

use super::TrainConfig;
use super::run_dir::{RUNS, RunDir, is_run, numbered, read_config};
use crate::checkpoint::{self, Header, safetensors::Reader};
use crate::error::{Error, Result};

/// A run to continue.
#[derive(Clone, Debug)]
pub struct Earlier {
    place: Place,
    config: TrainConfig,
}

#[derive(Clone, Debug)]
enum Place {
    /// A run goes on in its folder.
    Folder(PathBuf),
    /// A new run branches off from a checkpoint.
    Checkpoint(PathBuf),
}

impl Earlier {
    /// The newest run in `runs/`, or the newest of this name.
    ///
    /// Errors: there is none.
    pub fn latest(name: Option<&str>) -> Result<Earlier> {
        Self::newest_in(Path::new(RUNS), name)
    }

    /// The run of a folder, the newest run of a folder of runs, or the run of a checkpoint: in its folder if it is the
    /// newest one there, else it is to be continued as a run of its own.
    ///
    /// Errors: nothing there to continue.
    pub fn at(path: &Path) -> Result<Earlier> {
        if is_run(path) {
            return Self::of_folder(path);
        }
        if path.is_dir() {
            return Self::newest_in(path, None);
        }
        if !path.exists() {
            return Err(Error::NotFound(format!("{}: there is no such run's folder or checkpoint", path.display())));
        }
        match path.parent().and_then(Path::parent) {
            Some(run) if is_run(run) && checkpoint::newest(run).is_ok_and(|newest| newest == path) => {
                Self::of_folder(run)
            }
            _ => Ok(Earlier { config: header(path)?.config, place: Place::Checkpoint(path.to_path_buf()) }),
        }
    }

    fn newest_in(parent: &Path, name: Option<&str>) -> Result<Earlier> {
        let runs = if parent.is_dir() { numbered(parent)? } else { Vec::new() };
        for (_, its_name, path) in runs.iter().rev() {
            if name.is_none_or(|name| name == its_name) && is_run(path) {
                return Self::of_folder(path);
            }
        }
        let (of, parent) = (name.map_or(String::new(), |name| format!(" of {name}")), parent.display());
        Err(Error::NotFound(format!(
            "there is no run{of} in {parent} to resume; start one without --resume, or name it"
        )))
    }

    fn of_folder(run: &Path) -> Result<Earlier> {
        let config = match read_config(run)? {
            Some(config) => config,
            None => header(&checkpoint::newest(run)?)?.config,
        };
        Ok(Earlier { place: Place::Folder(run.to_path_buf()), config })
    }

    /// The configuration that the run was last given.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Takes the folder and finds the newest checkpoint that is whole. There is no folder if the run is to be continued
    /// elsewhere, and no checkpoint if the run had not saved any. `notes` gets what was found damaged.
    pub(super) fn open(
        &self,
        outdir: Option<&Path>,
        notes: &mut Vec<String>,
    ) -> Result<(Option<RunDir>, Option<Point>)> {
        match &self.place {
            Place::Folder(run) if outdir.is_none_or(|outdir| outdir == run) => {
                let dir = RunDir::open(run)?;
                let point = newest_whole(run, notes)?;
                Ok((Some(dir), point))
            }
            Place::Folder(run) => Ok((None, Some(Point::read(&checkpoint::newest(run)?)?))),
            Place::Checkpoint(path) => Ok((None, Some(Point::read(path)?))),
        }
    }
}

/// Errors: not a checkpoint; one of a training that there cannot be.
fn header(path: &Path) -> Result<Header<TrainConfig>> {
    let header: Header<TrainConfig> = Header::read(&Reader::open(path)?)?;
    header.config.validate().map_err(|e| Error::format(path, format!("its configuration: {e}")))?;
    Ok(header)
}

/// Where a training goes on: a whole checkpoint.
pub struct Point {
    pub path: PathBuf,
    pub header: Header<TrainConfig>,
}

impl Point {
    /// Errors: not a checkpoint, damaged.
    fn read(path: &Path) -> Result<Point> {
        let mut reader = Reader::open(path)?;
        let header = Header::read(&reader)?;
        reader.verify()?;
        Ok(Point { path: path.to_path_buf(), header })
    }
}

/// Damaged checkpoints are set aside as soon as an older one is found to be whole.
fn newest_whole(run: &Path, notes: &mut Vec<String>) -> Result<Option<Point>> {
    let mut damaged = Vec::new();
    for (_, path) in checkpoint::all(run)?.into_iter().rev() {
        match Point::read(&path) {
            Err(error @ Error::Format { .. }) => damaged.push((path, error)),
            Err(error) => return Err(error),
            Ok(point) => {
                for (path, error) in &damaged {
                    let aside = checkpoint::set_aside(path)?;
                    notes.push(format!("warning: {error}. It is now called {}", aside.display()));
                }
                return Ok(Some(point));
            }
        }
    }
    match damaged.into_iter().next() {
        None => Ok(None),
        Some((path, error)) => {
            let what = format!("{error}; and no other checkpoint there is whole. Start anew without --resume");
            Err(Error::format(path, what))
        }
    }
}

/// Keys without influence on what is learned.
const FREE: [&str; 7] =
    ["data_dir", "stats_every", "grid_every", "grid_pictures", "checkpoint_every", "keep_checkpoints", "major_every"];
/// Keys that decide how the training goes on, not what it goes on from.
const STEERING: [&str; 13] = [
    "precision",
    "grad_accum",
    "num_epoch",
    "lr_g",
    "lr_d",
    "no_lr_decay",
    "beta1",
    "beta2",
    "r1_gamma",
    "lazy_reg",
    "uot_tau",
    "l1_weight",
    "ema_decay",
];

/// What to tell about a changed configuration.
///
/// Errors: keys that cannot change, all of them.
pub fn changes(from: &TrainConfig, to: &TrainConfig) -> Result<Vec<String>> {
    let (mut free, mut steering, mut fixed) = (Vec::new(), Vec::new(), Vec::new());
    for [key, from, to] in checkpoint::differences(from, to) {
        let list = match key.as_str() {
            key if FREE.contains(&key) => &mut free,
            key if STEERING.contains(&key) => &mut steering,
            _ => &mut fixed,
        };
        list.push(format!("{key} {from} -> {to}"));
    }
    if !fixed.is_empty() {
        return Err(Error::config(format!(
            "this run cannot go on with another configuration: {}. Leave that as it was, or start a new run without \
             --resume. What may change: {}, {}",
            fixed.join(", "),
            STEERING.join(", "),
            FREE.join(", "),
        )));
    }
    let mut notes = Vec::new();
    if !steering.is_empty() {
        notes.push(format!("warning: from here on the training is another one than before: {}", steering.join(", ")));
    }
    if !free.is_empty() {
        notes.push(format!("changed: {}", free.join(", ")));
    }
    Ok(notes)
}
