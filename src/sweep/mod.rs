//! A list of configurations, trained one after another: what is done is skipped, what was interrupted goes on.

mod plan;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use plan::{Planned, Sweep};
pub use state::{Ended, RunState, State};

use crate::error::Result;
use crate::report::Record;
use crate::tensor::Device;
use crate::train::{self, Earlier, Ending, RunOptions};

/// What a sweep does, for people to hear of.
pub enum Event<'a> {
    /// The run of this number begins or goes on.
    Train(usize),
    /// It was done before.
    Skip(usize),
    Failed(usize, &'a str),
    Evaluate(usize, &'a str),
}

/// What a sweep is asked beside its plan.
pub struct Means<'a> {
    pub device: Device,
    /// Somebody sets it to have the training saved and the sweep ended.
    pub stop: Arc<AtomicBool>,
    /// Evaluates the run of a folder with the flags of `ddgan eval`.
    pub evaluate: &'a mut dyn FnMut(&Path, &str) -> std::result::Result<(), String>,
    pub say: &'a mut dyn FnMut(Event),
}

/// Trains and evaluates all runs, in their order, and keeps the state of the sweep in its folder. A run that fails does
/// not keep the others from their turn. Returns whether it came to the end.
///
/// Errors: the sweep's own folder cannot be written.
pub fn run(sweep: &Sweep, means: &mut Means) -> Result<bool> {
    let mut state = State::read(&sweep.outdir)?;
    for (number, planned) in sweep.runs.iter().enumerate() {
        if state.is_done(planned) {
            (means.say)(Event::Skip(number));
        } else {
            (means.say)(Event::Train(number));
            let outcome = train(planned, means);
            if let Err(error) = &outcome {
                (means.say)(Event::Failed(number, error));
            }
            let stopped = matches!(outcome, Ok(None));
            state.set(planned, outcome);
            state.write(&sweep.outdir)?;
            if stopped {
                return Ok(false);
            }
        }
        if !evaluate(sweep, number, &mut state, means)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How the training ended and after how many steps; `None` if it was asked to stop.
fn train(planned: &Planned, means: &Means) -> std::result::Result<Option<(Ended, u64)>, String> {
    let spent = |folder: &Path| Record::read(folder).map(|record| record.seconds());
    let trained = || -> Result<train::Finished> {
        let (resume, spent) = match train::is_run(&planned.folder) {
            true => (Some(Earlier::at(&planned.folder)?), spent(&planned.folder)?),
            false => (None, 0.0),
        };
        let left = |limit: Duration| limit.saturating_sub(Duration::try_from_secs_f64(spent).unwrap_or_default());
        train::run(
            &planned.config,
            &RunOptions {
                outdir: resume.is_none().then(|| planned.folder.clone()),
                name: planned.name.clone(),
                resume,
                max_steps: planned.max_steps,
                max_time: planned.max_time().map(left),
                device: means.device.clone(),
                stop: means.stop.clone(),
            },
        )
    };
    let finished = trained().map_err(|error| error.to_string())?;
    Ok(match finished.ending {
        Ending::Stopped => None,
        Ending::Complete(_) => Some((Ended::Complete, finished.steps)),
        Ending::Limit(_) => Some((Ended::Limit, finished.steps)),
    })
}

/// What was not evaluated at this step before. Whether the sweep may go on.
fn evaluate(sweep: &Sweep, number: usize, state: &mut State, means: &mut Means) -> Result<bool> {
    let planned = &sweep.runs[number];
    for flags in &sweep.eval {
        if means.stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let Some(run) = state.trained(planned).filter(|run| !run.is_evaluated(flags)) else { continue };
        (means.say)(Event::Evaluate(number, flags));
        match (means.evaluate)(&planned.folder, flags) {
            Ok(()) => run.set_evaluated(flags),
            Err(error) => {
                run.error = Some(error.clone());
                (means.say)(Event::Failed(number, &error));
            }
        }
        state.write(&sweep.outdir)?;
    }
    Ok(true)
}
