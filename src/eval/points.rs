//! Points in the plane beside the mixture that they should come from, whose modes are known: no classifier is needed.

use std::time::Instant;

use super::evaluate::sampling;
use super::report::{Evaluation, Labels, name_of_data};
use super::subject::Subject;
use crate::data::toys::Kind;
use crate::data::{ImageShape, Split, Toy};
use crate::error::{Error, Result};
use crate::metrics::ModeCoverage;
use crate::sample::{Points, Timing};

/// Points drawn at once.
const BATCH: usize = 1000;

/// Counts the modes that `count` points of `subject` cover, all of a file at most, and those that as many points of the
/// mixture do. `progress` hears how many points are done, of how many.
///
/// Errors: pictures; a distribution without modes; a device that fails.
pub fn evaluate_points(
    subject: &Subject,
    kind: Kind,
    split: Split,
    count: usize,
    seed: u64,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Evaluation> {
    if subject.shape() != ImageShape::POINT {
        return Err(Error::config(format!("{} are points in the plane, and these are pictures", kind.name())));
    }
    let covered = |points: &[[f32; 2]]| {
        ModeCoverage::of(points, kind).map(labels).ok_or_else(|| {
            let what = "has no modes that could be counted; those of gaussians25 and ring8 can";
            Error::config(format!("{} {what}", kind.name()))
        })
    };
    let asked = count;
    let count = asked.min(subject.available().unwrap_or(asked));
    let toy = Toy::new(kind, split, 0);
    let of_data = covered(&(0..count).map(|i| toy.point(i)).collect::<Vec<_>>())?;

    let (mut read, mut points, mut timing) = (subject.reader(), Points::default(), Timing::default());
    for first in (0..count).step_by(BATCH) {
        let (numbers, before) = (first..count.min(first + BATCH), Instant::now());
        points.push(&read(numbers.clone())?);
        timing.add(numbers.len(), before.elapsed().as_secs_f64());
        progress("points", numbers.end, count);
    }
    let mut found = Evaluation {
        seed,
        count,
        data: name_of_data(kind.name(), split),
        data_count: Some(count),
        labels: Some(covered(points.as_slice())?),
        of_data: Some(of_data),
        ..Default::default()
    };
    if count < asked {
        found.warnings.push(format!("there are {count} points, {asked} were asked for"));
    }
    if let Subject::Generator { source, device, .. } = subject {
        (found.step, found.averaged, found.sampler) =
            (Some(source.step), Some(source.averaged), source.process.sampler());
        found.sampling = sampling(&timing, BATCH, source.process.steps().len(), device.name());
        if source.dataset != kind.name() {
            let (learnt, name) = (&source.dataset, kind.name());
            found.warnings.push(format!("the generator learnt {learnt}, the modes are those of {name}"));
        }
    }
    Ok(found)
}

fn labels(coverage: ModeCoverage) -> Labels {
    let ModeCoverage { recovered, modes, high_quality, kl } = coverage;
    Labels { modes: recovered, modes_total: modes, kl, high_quality: Some(high_quality), ..Default::default() }
}
