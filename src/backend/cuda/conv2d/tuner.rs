//! Who computes a convolution: measured once for each shape on each device, and remembered.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use super::cudnn::Cudnn;
use super::table::{Identity, Table};
use super::{Pass, Task, own};
use crate::Result;
use crate::backend::cuda::event::elapsed;
use crate::backend::cuda::{DType, Gpu, Storage};
use crate::backend::params::Conv2d;
use crate::backend::trace::{self, Work};
use crate::backend::{Contest, Convolver, Entry};

/// Seconds that a round of runs should last, so that the clock is good enough.
const ROUND: f64 = 1e-3;
const ROUNDS: usize = 3;
/// Runs in a round at most.
const RUNS: f64 = 50.0;

/// One who can compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// A version of our kernels.
    Own(usize),
    /// cuDNN's algorithm of that number.
    Cudnn(u32),
}

/// What a choice depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    pass: Pass,
    dtype: DType,
    /// Bias, time bias, residual.
    terms: [bool; 3],
    g: Conv2d,
}

/// A candidate, and the seconds that it takes.
type Timing = (Candidate, f64);

pub struct Tuner {
    convolver: Convolver,
    cudnn: Option<Cudnn>,
    state: Mutex<State>,
}

struct State {
    /// What was computed so far, in this order, with the timings of all candidates, the fastest first.
    known: Vec<(Key, Vec<Timing>)>,
    places: HashMap<Key, usize>,
    table: Table,
}

impl Tuner {
    /// None where only our kernels can compute, in the versions that they have chosen themselves. `cache` is the folder
    /// for what is measured.
    ///
    /// Errors: cuDNN was asked for, and cannot be had.
    pub fn open(gpu: &Gpu, convolver: Convolver, cache: Option<&Path>) -> Result<Option<Tuner>> {
        let cudnn = match convolver {
            Convolver::Own => return Ok(None),
            Convolver::Cudnn => Some(Cudnn::open(gpu)?),
            Convolver::Auto | Convolver::Compare => Cudnn::open(gpu).ok(),
        };
        if cudnn.is_none() && convolver == Convolver::Auto {
            return Ok(None);
        }
        let table = Table::open(cache, Identity::of(gpu, cudnn.is_some())?);
        let state = State { known: Vec::new(), places: HashMap::new(), table };
        Ok(Some(Tuner { convolver, cudnn, state: Mutex::new(state) }))
    }

    pub(super) fn compute(&self, gpu: &Arc<Gpu>, task: &Task, g: &Conv2d) -> Result<Storage> {
        let candidate = self.choose(gpu, task, g)?;
        self.run(gpu, task, g, candidate)
    }

    fn run(&self, gpu: &Arc<Gpu>, task: &Task, g: &Conv2d, candidate: Candidate) -> Result<Storage> {
        match (candidate, &self.cudnn) {
            (Candidate::Cudnn(algorithm), Some(cudnn)) => cudnn.compute(gpu, task, g, algorithm),
            (Candidate::Own(version), _) => own::compute(gpu, task, g, version),
            (Candidate::Cudnn(_), None) => unreachable!("cuDNN is a candidate only where it is"),
        }
    }

    fn choose(&self, gpu: &Arc<Gpu>, task: &Task, g: &Conv2d) -> Result<Candidate> {
        let key = Key::new(task, g);
        if let Some(timings) = self.state.lock().unwrap().timings(&key) {
            return Ok(self.best(timings));
        }
        let candidates = self.candidates(gpu, task, g)?;
        let remembered = match self.convolver {
            Convolver::Compare => None,
            _ => self.state.lock().unwrap().table.get(&key.to_string(), &candidates),
        };
        let timings = match remembered {
            Some(timings) => timings,
            // Nothing can be timed while a graph is recorded; whoever records runs once before.
            None if g.y_len() == 0 || g.x_len() == 0 || gpu.memory().is_recording() => {
                let usual = (Candidate::Own(own::usual(gpu, task, g)), 0.0);
                let cudnn = candidates.iter().filter(|c| matches!(c, Candidate::Cudnn(_))).map(|&c| (c, 0.0));
                return Ok(self.best(&[usual].into_iter().chain(cudnn).collect::<Vec<_>>()));
            }
            None => {
                let time = |candidate| {
                    let run = || self.run(gpu, task, g, candidate).map(drop);
                    run()?; // loads kernels, makes plans
                    seconds(|runs| elapsed(gpu, || (0..runs).try_for_each(|_| run())))
                };
                let timings = trace::paused(|| contest(&candidates, time))?;
                // What failed, as for want of memory, may not fail the next time.
                if timings.len() == candidates.len() {
                    self.state.lock().unwrap().table.insert(&key.to_string(), &timings);
                }
                timings
            }
        };
        let best = self.best(&timings);
        self.state.lock().unwrap().learn(key, timings);
        Ok(best)
    }

    /// The fastest that may be taken.
    fn best(&self, timings: &[Timing]) -> Candidate {
        let may = |(candidate, _): &&Timing| match self.convolver {
            Convolver::Cudnn => matches!(candidate, Candidate::Cudnn(_)),
            _ => true,
        };
        // What cuDNN cannot compute is ours in any case, and never missing.
        timings.iter().find(may).or(timings.first()).expect("our kernels compute everything").0
    }

    fn candidates(&self, gpu: &Gpu, task: &Task, g: &Conv2d) -> Result<Vec<Candidate>> {
        let mut candidates: Vec<_> = own::versions(gpu, task).into_iter().map(Candidate::Own).collect();
        if let Some(cudnn) = &self.cudnn {
            candidates.extend(cudnn.algorithms(gpu, task, g)?.into_iter().map(Candidate::Cudnn));
        }
        Ok(candidates)
    }

    /// All that was computed so far, in its order.
    pub fn contests(&self) -> Vec<Contest> {
        let contest = |(key, timings): &(Key, Vec<Timing>)| Contest {
            pass: key.pass.to_string(),
            sizes: (&key.g).sizes(),
            precision: key.dtype,
            flops: key.g.flops(),
            entries: timings.iter().map(|&(who, seconds)| Entry { name: who.to_string(), seconds }).collect(),
        };
        self.state.lock().unwrap().known.iter().map(contest).collect()
    }
}

impl State {
    fn timings(&self, key: &Key) -> Option<&[Timing]> {
        self.places.get(key).map(|&place| &*self.known[place].1)
    }

    fn learn(&mut self, key: Key, timings: Vec<Timing>) {
        match self.places.entry(key) {
            Occupied(place) => self.known[*place.get()].1 = timings,
            Vacant(place) => {
                place.insert(self.known.len());
                self.known.push((key, timings));
            }
        }
    }
}

/// The times of all candidates, the fastest first. One of cuDNN's that fails, as for want of memory, is left out.
fn contest(candidates: &[Candidate], mut time: impl FnMut(Candidate) -> Result<f64>) -> Result<Vec<Timing>> {
    let mut timings = Vec::new();
    for &candidate in candidates {
        match (time(candidate), candidate) {
            (Ok(seconds), _) => timings.push((candidate, seconds)),
            (Err(_), Candidate::Cudnn(_)) => {}
            (Err(error), Candidate::Own(_)) => return Err(error),
        }
    }
    timings.sort_by(|a, b| a.1.total_cmp(&b.1));
    Ok(timings)
}

/// Seconds of one run: of the best of a few rounds, each of as many runs as the clock needs. `round` runs so often, and
/// tells how long all of it took.
fn seconds(mut round: impl FnMut(usize) -> Result<f64>) -> Result<f64> {
    let mut best = round(1)?;
    if best >= ROUND {
        return Ok(best);
    }
    let runs = (ROUND / best.max(f64::MIN_POSITIVE)).clamp(1.0, RUNS) as usize;
    for _ in 0..ROUNDS {
        best = best.min(round(runs)? / runs as f64);
    }
    Ok(best)
}

impl Key {
    fn new(task: &Task, g: &Conv2d) -> Key {
        let terms = if let Task::Forward { finish, .. } = task { finish.terms() } else { [false; 3] };
        Key { pass: task.pass(), dtype: task.dtype(), terms, g: *g }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Key { pass, dtype, terms, g } = self;
        write!(f, "{pass} {dtype} {}, pad {:?}", g.sizes(), g.pad)?;
        for (is_there, term) in terms.iter().zip(["bias", "time bias", "residual"]) {
            if *is_there {
                write!(f, " + {term}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Pass::Forward => "forward",
            Pass::InputGrad => "input_grad",
            Pass::WeightGrad => "weight_grad",
        })
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Candidate::Own(version) => write!(f, "own {version}"),
            Candidate::Cudnn(algorithm) => write!(f, "cudnn {algorithm}"),
        }
    }
}

impl FromStr for Candidate {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Candidate, ()> {
        let (who, number) = text.split_once(' ').ok_or(())?;
        match who {
            "own" => number.parse().map(Candidate::Own).map_err(drop),
            "cudnn" => number.parse().map(Candidate::Cudnn).map_err(drop),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn the_fastest_comes_first_and_what_fails_is_left_out() {
        let candidates = [Candidate::Own(2), Candidate::Own(3), Candidate::Cudnn(1), Candidate::Cudnn(0)];
        let time = |candidate| match candidate {
            Candidate::Own(2) => Ok(4.0),
            Candidate::Own(_) => Ok(2.0),
            Candidate::Cudnn(0) => Ok(1.0),
            Candidate::Cudnn(_) => Err(Error::cuda("not this one")),
        };
        let timings = contest(&candidates, time).unwrap();
        assert_eq!(timings, [(Candidate::Cudnn(0), 1.0), (Candidate::Own(3), 2.0), (Candidate::Own(2), 4.0)]);
        // Our kernels must not fail.
        assert!(contest(&candidates, |_| Err(Error::cuda("broken"))).is_err());
        for (candidate, _) in timings {
            assert_eq!(candidate.to_string().parse(), Ok(candidate));
        }
        for damaged in ["own", "own x", "other 1", ""] {
            assert!(damaged.parse::<Candidate>().is_err(), "{damaged}");
        }
    }

    /// A clock that ticks every 10 us and is late by one tick now and then.
    #[test]
    fn short_runs_are_timed_many_at_once() {
        let clock = |one: f64, rounds: &mut Vec<usize>| {
            seconds(|runs| {
                rounds.push(runs);
                let late = if rounds.len() % 2 == 1 { 1e-5 } else { 0.0 };
                Ok((one * runs as f64 / 1e-5).round() * 1e-5 + late)
            })
            .unwrap()
        };
        let mut rounds = Vec::new();
        let short = clock(2.3e-5, &mut rounds);
        assert!((short - 2.3e-5).abs() < 1e-6, "{short:e}");
        assert!(rounds[1..].iter().all(|&runs| runs > 10), "{rounds:?}");
        rounds.clear();
        let long = clock(0.5, &mut rounds);
        assert!((long - 0.5).abs() < 1e-4);
        assert_eq!(rounds, [1]);
        // What takes no time at all does not run for ever.
        clock(0.0, &mut rounds);
        assert!(rounds.iter().all(|&runs| runs as f64 <= RUNS));
    }
}
