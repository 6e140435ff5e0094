//! How far a sweep is: `sweep.json` in its folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Planned;
use crate::error::{Error, IoContext, Result};
use crate::fsutil::write_atomic;
use crate::report::{Measured, Record};
use crate::train::TrainConfig;

const FILE: &str = "sweep.json";

/// The runs that were begun, by their names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub runs: BTreeMap<String, RunState>,
}

/// What is known of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunState {
    /// Not there if the training has not come to its end.
    pub ended: Option<Ended>,
    /// What went wrong last.
    pub error: Option<String>,
    pub steps: u64,
    pub seconds: f64,
    pub images: u64,
    /// Numbers in the parameters of generator and discriminator.
    pub parameters: [u64; 2],
    pub max_steps: Option<u64>,
    pub max_minutes: Option<f64>,
    pub config: TrainConfig,
    /// The step at which it was evaluated with some flags.
    pub evaluated: BTreeMap<String, u64>,
    /// What came of it.
    pub evaluations: Vec<Measured>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// After all epochs.
    Complete,
    /// At a limit.
    Limit,
}

impl State {
    /// That of a sweep's folder; a new one if there is none.
    ///
    /// Errors: it cannot be read.
    pub fn read(outdir: &Path) -> Result<State> {
        let path = outdir.join(FILE);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(State::default()),
            text => text.at(&path, "read")?,
        };
        serde_json::from_slice(&text).map_err(|e| {
            let what = "Remove it: then the sweep looks at each run anew, and evaluates it again";
            Error::format(&path, format!("is no state of a sweep ({e}). {what}"))
        })
    }

    pub fn write(&self, outdir: &Path) -> Result<()> {
        fs::create_dir_all(outdir).at(outdir, "make the folder")?;
        let text = serde_json::to_string_pretty(self).expect("numbers and strings") + "\n";
        write_atomic(outdir.join(FILE), |file| file.write_all(text.as_bytes()))
    }

    /// Whether the training of this very plan has come to its end, and is still there.
    pub fn is_done(&self, planned: &Planned) -> bool {
        self.runs.get(&planned.name).is_some_and(|run| {
            run.ended.is_some()
                && run.config == planned.config
                && (run.max_steps, run.max_minutes) == (planned.max_steps, planned.max_minutes)
                && crate::train::is_run(&planned.folder)
        })
    }

    /// Notes how a training ended and after how many steps, that it did not, or why it failed.
    pub fn set(&mut self, planned: &Planned, outcome: std::result::Result<Option<(Ended, u64)>, String>) {
        let before = self.runs.remove(&planned.name);
        let (evaluated, evaluations) = before.map_or(Default::default(), |run| (run.evaluated, run.evaluations));
        let (ended, error) = match outcome {
            Ok(ended) => (ended, None),
            Err(error) => (None, Some(error)),
        };
        let record = Record::read(&planned.folder).ok();
        let of = |value: fn(&Record) -> u64| record.as_ref().map_or(0, value);
        let run = RunState {
            ended: ended.map(|(ended, _)| ended),
            error,
            steps: ended.map_or_else(|| of(Record::steps), |(_, steps)| steps),
            seconds: record.as_ref().map_or(0.0, Record::seconds),
            images: of(Record::images),
            parameters: record.as_ref().map_or([0; 2], |record| record.parameters.map(|n| n as u64)),
            max_steps: planned.max_steps,
            max_minutes: planned.max_minutes,
            config: planned.config.clone(),
            evaluated,
            evaluations,
        };
        self.runs.insert(planned.name.clone(), run);
    }

    /// A run whose training has come to its end.
    pub fn trained(&mut self, planned: &Planned) -> Option<&mut RunState> {
        self.runs.get_mut(&planned.name).filter(|run| run.ended.is_some())
    }

    /// Takes the evaluations from the runs' folders.
    pub fn gather(&mut self, planned: &[Planned]) {
        for planned in planned {
            if let (Some(run), Ok(record)) = (self.runs.get_mut(&planned.name), Record::read(&planned.folder)) {
                run.evaluations = record.evaluations;
            }
        }
    }
}

impl RunState {
    /// Whether it was evaluated with these flags after its last step.
    pub fn is_evaluated(&self, flags: &str) -> bool {
        self.evaluated.get(flags) == Some(&self.steps)
    }

    pub fn set_evaluated(&mut self, flags: &str) {
        self.evaluated.insert(flags.into(), self.steps);
        self.error = None;
    }
}
