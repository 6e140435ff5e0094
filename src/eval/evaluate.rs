//! The metrics of pictures beside those of a data set.

use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;

use super::classifier::SavedClassifier;
use super::collect::{BATCH, Collected, collect};
use super::report::{Evaluation, Labels, Sampling};
use super::statistics::Statistics;
use super::subject::Subject;
use crate::data::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::metrics::{Gaussian, Predictions, covered, frechet_distance, kernel_distance, kl_to_uniform, neighbours};
use crate::sample::Timing;

/// What pictures are compared with.
pub enum Reference<'a> {
    Data(&'a dyn Dataset),
    /// Only distances between distributions can be told of them. With the name of their file.
    Statistics(Statistics, String),
}

/// How much, and with which numbers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pictures to judge; of files, all at most.
    pub count: usize,
    /// Pictures of the data set to judge, evenly spread; all at most.
    pub data_count: usize,
    pub seed: u64,
}

/// Fewer pictures make the Frechet distance larger than it is by more than differences between good generators.
const FEW: usize = 10_000;
/// A class this probable counts as certain.
const CONFIDENT: f32 = 0.95;
/// The parts that the Inception Score is a mean over, as published.
const PARTS: usize = 10;
/// Histograms of more modes say nothing with as many pictures as anybody draws.
const MOST_MODES: usize = 1_000_000;

/// Judges the pictures of `subject`, and those of `reference` unless they are known already. `progress` hears of which
/// pictures how many are done, of how many.
///
/// Returns the statistics of the data set too. Errors: pictures of different shapes, a classifier of another data set,
/// statistics of another extractor, fewer than two pictures of the data set, one that cannot be read.
pub fn evaluate(
    subject: &Subject,
    reference: &Reference,
    classifier: &SavedClassifier,
    options: &Options,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<(Evaluation, Statistics)> {
    let shape = subject.shape();
    let (extractor, dim) = (Some(classifier.to_string()), Some(classifier.features(shape)));
    let mut found = Evaluation { seed: options.seed, extractor, dim, ..Default::default() };
    check(subject, reference, classifier, &mut found.warnings)?;
    let available = subject.available().unwrap_or(usize::MAX);
    let count = options.count.min(available);
    if count < options.count {
        found.warnings.push(format!("there are {count} pictures, {} were asked for", options.count));
    }
    found.count = count;

    let (statistics, of_data) = match reference {
        Reference::Statistics(statistics, name) => {
            found.data = name.clone();
            (statistics.clone(), None)
        }
        Reference::Data(data) => {
            let of_data = judge_data(*data, classifier, options.data_count, count, progress)?;
            found.data = format!("data set {}", data.name());
            found.data_count = Some(of_data.count);
            found.of_data = Some(labels(&of_data.predictions, shape.channels)?);
            let gaussian = of_data.moments.gaussian()?;
            (Statistics { gaussian, extractor: Some(classifier.identity()) }, Some(of_data))
        }
    };
    let (judged, timing) = judge_subject(subject, classifier, count, progress)?;
    found.labels = labels(&judged.predictions, shape.channels)?;
    compare(&mut found, &judged, &statistics.gaussian, of_data.as_ref());
    if shape.channels == 1
        && let Some(score) = told(&mut found.warnings, judged.predictions.inception_score(PARTS))
    {
        (found.inception_score, found.inception_score_std) = (Some(score.mean), Some(score.deviation));
    }
    if let Subject::Generator { source, device, .. } = subject {
        (found.step, found.averaged) = (Some(source.step), Some(source.averaged));
        found.sampling = sampling(&timing, BATCH, source.process.num_timesteps(), count, device.name());
    }
    Ok((found, statistics))
}

/// At most `most` pictures of a data set, evenly spread; of `predicted` of them the classes too.
fn judge_data(
    data: &dyn Dataset,
    classifier: &SavedClassifier,
    most: usize,
    predicted: usize,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Collected> {
    let (total, len) = (data.len().min(most), data.shape().len());
    let place = |number: usize| (number as u128 * data.len() as u128 / total as u128) as usize;
    let mut read = |numbers: Range<usize>| {
        let mut images = vec![0.0; numbers.len() * len];
        let numbered = images.par_chunks_exact_mut(len).zip(numbers);
        numbered.try_for_each(|(out, number)| data.image(place(number), out))?;
        Ok(images)
    };
    collect(classifier, data.shape(), total, predicted, &mut read, &mut |done| progress("data", done, total))
}

/// With how long it took to draw or read each batch.
fn judge_subject(
    subject: &Subject,
    classifier: &SavedClassifier,
    count: usize,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<(Collected, Timing)> {
    let mut timing = Timing::default();
    let mut timed = |numbers: Range<usize>| {
        let (number, before) = (numbers.len(), Instant::now());
        let pictures = subject.pictures(numbers)?;
        timing.add(number, before.elapsed().as_secs_f64());
        Ok(pictures)
    };
    let progress = &mut |done| progress("pictures", done, count);
    let judged = collect(classifier, subject.shape(), count, count, &mut timed, progress)?;
    Ok((judged, timing))
}

/// Errors: what would give numbers that mean nothing. What may, is a warning.
fn check(
    subject: &Subject,
    reference: &Reference,
    classifier: &SavedClassifier,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let known = classifier.about.dataset.as_str();
    let fits = |name: &str| name == known || (name, known) == ("stackmnist", "mnist");
    let shape = subject.shape();
    match reference {
        Reference::Data(data) => {
            let own = data.shape();
            if own != shape {
                let size = |s: ImageShape| format!("{}x{} with {} channels", s.height, s.width, s.channels);
                let what = format!("the pictures are {}, those of data set {} {}", size(shape), data.name(), size(own));
                return Err(Error::config(what));
            }
            if data.name() == "folder" {
                warnings.push(format!("the classifier knows {known}, which these files may not be"));
            } else if !fits(data.name()) {
                let what = format!("the classifier knows {known}, the data set is {}", data.name());
                return Err(Error::config(format!("{what}: its features and classes would mean nothing")));
            }
        }
        Reference::Statistics(statistics, name) => {
            let (dim, features) = (statistics.gaussian.dim(), classifier.features(shape));
            match &statistics.extractor {
                Some(other) if *other != classifier.identity() => {
                    let what = format!("{name} holds statistics of another extractor, {other}");
                    return Err(Error::config(format!("{what}; this one is {}", classifier.identity())));
                }
                _ if dim != features => {
                    let what = format!("{name} holds statistics of {dim} features, these pictures have {features}");
                    return Err(Error::config(format!("{what}: it is of another extractor")));
                }
                Some(_) => {}
                None => warnings.push(format!("{name} does not tell whose features its statistics are of")),
            }
        }
    }
    if let Subject::Generator { source, .. } = subject
        && !fits(&source.dataset)
    {
        warnings.push(format!("the generator learnt {}, the classifier knows {known}", source.dataset));
    }
    Ok(())
}

/// What compares features. Where a metric is undefined, a warning says why.
fn compare(found: &mut Evaluation, judged: &Collected, statistics: &Gaussian, of_data: Option<&Collected>) {
    let distance = judged.moments.gaussian().and_then(|gaussian| frechet_distance(statistics, &gaussian));
    found.fid = told(&mut found.warnings, distance);
    let counts = [judged.count, of_data.map_or(usize::MAX, |data| data.count)];
    let fewest = counts[0].min(counts[1]);
    if fewest < FEW {
        found.warnings.push(format!(
            "the Frechet distance of {fewest} pictures is too large, the more the fewer they are; compare it with those \
             of as many alone"
        ));
    }
    let dim = statistics.dim();
    if fewest <= dim {
        found.warnings.push(format!("the covariance of {fewest} pictures in {dim} features is singular"));
    }
    let Some(of_data) = of_data else { return };
    if let Some(kid) = told(&mut found.warnings, kernel_distance(&of_data.kept, &judged.kept, found.seed)) {
        found.set_kernel_distance(kid);
    }
    if let Some(near) = told(&mut found.warnings, neighbours(&of_data.kept, &judged.kept)) {
        found.set_neighbours(near);
    }
}

fn told<T>(warnings: &mut Vec<String>, result: Result<T>) -> Option<T> {
    result.map_err(|error| warnings.push(error.to_string())).ok()
}

/// A mode is a class of every channel: of three channels of digits, 100 R + 10 G + B.
fn labels(predictions: &Predictions, channels: usize) -> Result<Labels> {
    let classes = predictions.classes();
    let modes = classes.checked_pow(channels as u32).filter(|&modes| modes <= MOST_MODES).ok_or_else(|| {
        Error::config(format!("{classes} classes in each of {channels} channels are too many modes to count"))
    })?;
    let mut histogram = vec![0; modes];
    let best: Vec<usize> = predictions.best().map(|(class, _)| class).collect();
    for picture in best.chunks_exact(channels) {
        histogram[picture.iter().fold(0, |mode, class| classes * mode + class)] += 1;
    }
    Ok(Labels {
        modes: covered(&histogram),
        modes_total: modes,
        kl: kl_to_uniform(&histogram)?,
        classes: (channels == 1).then_some(histogram),
        confident: Some(predictions.confident(CONFIDENT)),
        high_quality: None,
    })
}

/// Of batches of `batch`; `None` if none was warm.
pub(super) fn sampling(timing: &Timing, batch: usize, nfe: usize, count: usize, device: String) -> Option<Sampling> {
    Some(Sampling {
        nfe,
        batch,
        seconds_per_batch: timing.median()?,
        batches: (count / batch).saturating_sub(1),
        images_per_s: timing.images_per_s(),
        device,
        threads: rayon::current_num_threads(),
    })
}
