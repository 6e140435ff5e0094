//! The metrics of pictures beside those of a data set.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use rayon::prelude::*;

use super::collect::{Collected, Pictures, Spread, collect};
use super::extractor::Extractor;
use super::journal::Journal;
use super::report::{Evaluation, Labels, Sampling, name_of_data};
use super::statistics::Statistics;
use super::subject::Subject;
use crate::data::picture::Picture;
use crate::data::{Dataset, ImageShape, Split, byte_to_unit};
use crate::error::{Error, Result};
use crate::metrics::{Gaussian, Predictions, covered, frechet_distance, kernel_distance, kl_to_uniform, neighbours};
use crate::sample::Timing;
use crate::sample::grid::unit_to_byte;

/// What pictures are compared with.
pub enum Reference<'a> {
    /// With the part of the data set that it is.
    Data(&'a dyn Dataset, Split),
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
    /// Pictures drawn or read at once.
    pub batch: usize,
    pub seed: u64,
    /// Whether the pictures, not those of the data set, go through JPEG first, as those of the published numbers did.
    pub via_jpeg: bool,
    /// Where to keep, until all is done, what was found of each batch, for an evaluation that is stopped: the next one
    /// of the same goes on there, to the same result.
    pub keep: Option<PathBuf>,
}

/// Pictures of a data set read at once.
const DATA_BATCH: usize = 100;
/// Fewer pictures make the Frechet distance larger than it is by more than differences between good generators.
const FEW: usize = 10_000;
/// A class this probable counts as certain.
const CONFIDENT: f32 = 0.95;
/// The parts that the Inception Score is a mean over, as published.
const PARTS: usize = 10;
/// Histograms of more modes say nothing with as many pictures as anybody draws.
const MOST_MODES: usize = 1_000_000;
/// Those that take their time: Frechet's distance, KID, and what looks at neighbours.
const METRICS: usize = 3;

/// Judges the pictures of `subject`, and those of `reference` unless they are known already. `progress` hears of which
/// pictures how many are done, of how many.
///
/// Returns the statistics of the data set too. Errors: pictures of different shapes, a classifier of another data set,
/// statistics of another extractor, fewer than two pictures of the data set, one that cannot be read.
pub fn evaluate(
    subject: &Subject,
    reference: &Reference,
    extractor: &dyn Extractor,
    options: &Options,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<(Evaluation, Statistics)> {
    let shape = subject.shape();
    let (described, dim) = (Some(extractor.describe()), Some(extractor.features(shape)));
    let &Options { batch, seed, via_jpeg, .. } = options;
    let mut found = Evaluation { seed, via_jpeg, extractor: described, dim, ..Default::default() };
    found.warnings.extend(extractor.warning());
    check(subject, reference, extractor, &mut found.warnings)?;
    let available = subject.available().unwrap_or(usize::MAX);
    let count = options.count.min(available);
    if count < options.count {
        found.warnings.push(format!("there are {count} pictures, {} were asked for", options.count));
    }
    found.count = count;
    let journal = |about: String| match &options.keep {
        Some(folder) => Journal::open(folder, &about),
        None => Journal::none(),
    };
    let about = format!("ddgan {}\n{}\n{}", env!("CARGO_PKG_VERSION"), extractor.identity(), extractor.device().name());
    let by_classes = extractor.dataset().is_some();

    let mut data_journal = Journal::none();
    let (statistics, of_data) = match reference {
        Reference::Statistics(statistics, name) => {
            found.data = name.clone();
            (statistics.clone(), None)
        }
        Reference::Data(data, split) => {
            let (total, predicted) = (data.len().min(options.data_count), if by_classes { count } else { 0 });
            data_journal = journal(format!("{about}\ndata {} {}\n{total}, {predicted}\n", data.name(), data.origin()));
            let of_data = judge_data(*data, extractor, [total, predicted], &mut data_journal, progress)?;
            found.data = match data.name() {
                "folder" => format!("pictures in {}", data.origin()),
                name => name_of_data(name, *split),
            };
            found.data_count = Some(of_data.count);
            found.of_data = by_classes.then(|| labels(&of_data.predictions, shape.channels)).transpose()?;
            let gaussian = of_data.moments.gaussian()?;
            (Statistics { gaussian, extractor: Some(extractor.identity()) }, Some(of_data))
        }
    };
    let about = format!("{about}\n{}\n{count} by {batch}, through JPEG: {via_jpeg}\n", subject.identity());
    let mut journal = journal(about);
    let (judged, timing) = judge_subject(subject, extractor, count, options, &mut journal, progress)?;
    found.labels = by_classes.then(|| labels(&judged.predictions, shape.channels)).transpose()?;
    found.warnings.extend(found.labels.as_ref().and_then(|labels| few_for_modes(labels, count, of_data.as_ref())));
    compare(&mut found, &judged, &statistics.gaussian, of_data.as_ref(), &mut |done| {
        progress("metrics", done, METRICS)
    });
    if extractor.predictions(shape) == 1
        && let Some(score) = told(&mut found.warnings, judged.predictions.inception_score(PARTS))
    {
        if count < FEW {
            let what = format!("the Inception Score of {count} pictures is too small, the more the fewer they are");
            found.warnings.push(what);
        }
        (found.inception_score, found.inception_score_std) = (Some(score.mean), Some(score.deviation));
    }
    if let Subject::Generator { source, device, .. } = subject {
        (found.step, found.averaged, found.sampler) =
            (Some(source.step), Some(source.averaged), source.process.sampler());
        found.sampling = sampling(&timing, batch, source.process.steps().len(), device.name());
    }
    [data_journal, journal].iter_mut().for_each(Journal::finish);
    Ok((found, statistics))
}

/// `total` pictures of a data set, evenly spread; of `predicted` of them the classes too.
fn judge_data(
    data: &dyn Dataset,
    extractor: &dyn Extractor,
    [total, predicted]: [usize; 2],
    journal: &mut Journal,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Collected> {
    let (shape, len) = (data.shape(), data.shape().len());
    let places = Spread::new(data.len(), total);
    let mut get = |numbers: Range<usize>| {
        let mut images = vec![0.0; numbers.len() * len];
        let numbered = images.par_chunks_exact_mut(len).zip(numbers);
        numbered.try_for_each(|(out, number)| data.image(places.at(number), out))?;
        Ok(images)
    };
    let pictures = Pictures { shape, count: total, batch: DATA_BATCH, get: &mut get, cheap: true };
    collect(extractor, pictures, predicted, journal, &mut |done| progress("data", done, total))
}

/// With how long it took to draw or read each batch that the journal did not know.
fn judge_subject(
    subject: &Subject,
    extractor: &dyn Extractor,
    count: usize,
    &Options { batch, via_jpeg, .. }: &Options,
    journal: &mut Journal,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<(Collected, Timing)> {
    let (shape, mut read, mut timing) = (subject.shape(), subject.reader(), Timing::default());
    let mut get = |numbers: Range<usize>| {
        let (number, before) = (numbers.len(), Instant::now());
        let mut images = read(numbers)?;
        timing.add(number, before.elapsed().as_secs_f64());
        if via_jpeg {
            images.par_chunks_exact_mut(shape.len()).for_each(|image| through_jpeg(image, shape));
        }
        Ok(images)
    };
    let cheap = !matches!(subject, Subject::Generator { .. });
    let pictures = Pictures { shape, count, batch, get: &mut get, cheap };
    let judged = collect(extractor, pictures, count, journal, &mut |done| progress("pictures", done, count))?;
    Ok((judged, timing))
}

/// What JPEG leaves of a picture [H, W, C].
fn through_jpeg(image: &mut [f32], shape: ImageShape) {
    let pixels = image.iter().map(|&x| unit_to_byte(x)).collect();
    let left = Picture { shape, pixels }.through_jpeg().pixels;
    image.iter_mut().zip(left).for_each(|(x, byte)| *x = byte_to_unit(byte));
}

/// Errors: what would give numbers that mean nothing. What may, is a warning.
fn check(
    subject: &Subject,
    reference: &Reference,
    extractor: &dyn Extractor,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let known = extractor.dataset();
    let fits = |name: &str| known.is_none_or(|known| name == known || (name, known) == ("stackmnist", "mnist"));
    let known = known.unwrap_or_default();
    let shape = subject.shape();
    if ![1, 3].contains(&shape.channels) {
        return Err(Error::config(format!(
            "pictures have 1 channel (grey) or 3 (colour), these have {}",
            shape.channels
        )));
    }
    match reference {
        Reference::Data(data, _) => {
            let own = data.shape();
            if own != shape {
                let size = |s: ImageShape| format!("{}x{} with {} channels", s.height, s.width, s.channels);
                let what = format!("the pictures are {}, those of data set {} {}", size(shape), data.name(), size(own));
                return Err(Error::config(what));
            }
            if !fits(data.name()) && data.name() == "folder" {
                warnings.push(format!("the classifier knows {known}, which these files may not be"));
            } else if !fits(data.name()) {
                let what = format!("the classifier knows {known}, the data set is {}", data.name());
                return Err(Error::config(format!("{what}: its features and classes would mean nothing")));
            }
        }
        Reference::Statistics(statistics, name) => {
            let (dim, features) = (statistics.gaussian.dim(), extractor.features(shape));
            match &statistics.extractor {
                Some(other) if *other != extractor.identity() => {
                    let what = format!("{name} holds statistics of another extractor, {other}");
                    return Err(Error::config(format!("{what}; this one is {}", extractor.identity())));
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
fn compare(
    found: &mut Evaluation,
    judged: &Collected,
    statistics: &Gaussian,
    of_data: Option<&Collected>,
    progress: &mut dyn FnMut(usize),
) {
    let distance = judged.moments.gaussian().and_then(|gaussian| frechet_distance(statistics, &gaussian));
    found.fid = told(&mut found.warnings, distance);
    progress(1);
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
    let [data, own] = [of_data, judged].map(|pictures| pictures.kept.len());
    found.compared = Some([data, own]);
    if let Some(kid) = told(&mut found.warnings, kernel_distance(&of_data.kept, &judged.kept, found.seed)) {
        if kid.size == data.min(own) {
            let what = format!("each of KID's subsets has all of {} pictures: its deviation is too small", kid.size);
            found.warnings.push(what);
        }
        found.set_kernel_distance(kid);
    }
    progress(2);
    if let Some(near) = told(&mut found.warnings, neighbours(&of_data.kept, &judged.kept)) {
        if data != own {
            found.warnings.push(format!(
                "precision, recall, density and coverage of {own} pictures beside {data} of the data are not those of \
                 equally many"
            ));
        }
        found.set_neighbours(near);
    }
    progress(METRICS);
}

/// What makes the modes' KL look worse than it is: few pictures are never even. About (modes - 1) / 2 N of it is theirs,
/// which the KL of as many pictures of the data tells better, if there are as many.
fn few_for_modes(labels: &Labels, count: usize, of_data: Option<&Collected>) -> Option<String> {
    match of_data.map(|data| data.count) {
        Some(data) if data >= count => None,
        Some(data) => Some(format!("modes and KL of the data are those of {data} pictures, not of {count}")),
        None => {
            let excess = (labels.modes_total - 1) as f64 / (2 * count) as f64;
            Some(format!(
                "the KL of {count} pictures would be about {excess:.4} if they were drawn evenly from all modes"
            ))
        }
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
pub(super) fn sampling(timing: &Timing, batch: usize, nfe: usize, device: String) -> Option<Sampling> {
    Some(Sampling {
        nfe,
        batch,
        seconds_per_batch: timing.median()?,
        batches: timing.batches(),
        images_per_s: timing.images_per_s(),
        device,
        threads: rayon::current_num_threads(),
    })
}
