//! Features and predictions of pictures, batch by batch.

use std::ops::Range;

use super::classifier::SavedClassifier;
use crate::data::ImageShape;
use crate::error::Result;
use crate::metrics::{Features, Moments, Predictions};

/// Pictures drawn, read and judged at once.
pub const BATCH: usize = 100;
/// At most so many feature vectors are kept, evenly spread over all: what compares each with each takes no more.
const KEPT: usize = 10_000;

/// What is known of some pictures.
pub struct Collected {
    pub count: usize,
    /// Of all of them.
    pub moments: Moments,
    /// Of those that are kept, [N, C D].
    pub kept: Features,
    /// Of every channel of those that were asked for, [N C, classes].
    pub predictions: Predictions,
}

/// Judges `count` pictures, and keeps the predictions of `predicted` of them, evenly spread. `pictures` gives those of a
/// range; `progress` hears how many are done.
pub fn collect(
    classifier: &SavedClassifier,
    shape: ImageShape,
    count: usize,
    predicted: usize,
    pictures: &mut dyn FnMut(Range<usize>) -> Result<Vec<f32>>,
    progress: &mut dyn FnMut(usize),
) -> Result<Collected> {
    let dim = classifier.features(shape);
    let classes = classifier.about.classes;
    let (mut moments, mut kept, mut predictions) = (Moments::new(dim), Features::new(dim), Predictions::new(classes));
    let (keep, predict) = (spread(count, KEPT), spread(count, predicted));
    for first in (0..count).step_by(BATCH) {
        let numbers = first..count.min(first + BATCH);
        let verdicts = classifier.judge(&pictures(numbers.clone())?, shape)?;
        let mut batch = Features::new(dim);
        batch.push(&verdicts.features);
        moments.add(&batch);
        let rows = verdicts.probabilities.chunks_exact(classes * shape.channels);
        for ((number, features), probabilities) in numbers.clone().zip(batch.iter()).zip(rows) {
            if keep(number) {
                kept.push(features);
            }
            if predict(number) {
                predictions.push(probabilities);
            }
        }
        progress(numbers.end);
    }
    Ok(Collected { count, moments, kept, predictions })
}

/// Picks `some` numbers below `all`, or all if they are fewer, at even distances.
fn spread(all: usize, some: usize) -> impl Fn(usize) -> bool {
    let some = some.min(all) as u128;
    let before = move |number: usize| number as u128 * some / all.max(1) as u128;
    move |number| before(number + 1) > before(number)
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn as_many_as_asked_for_are_picked_all_over() {
        for (all, some) in [(10, 3), (10, 10), (7, 20), (60_000, 10_000), (1, 1), (5, 0)] {
            let picked: Vec<usize> = (0..all).filter(|&number| spread(all, some)(number)).collect();
            assert_eq!(picked.len(), some.min(all), "{some} of {all}");
            let widest = picked.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            assert!(some == 0 || widest <= all.div_ceil(some.min(all)), "{some} of {all}: {widest}");
        }
    }
}
