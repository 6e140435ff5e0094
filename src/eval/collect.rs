//! Features and predictions of pictures, batch by batch.

use std::ops::Range;

use super::extractor::Extractor;
use super::journal::Journal;
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
    /// Of those that are kept, [N, D].
    pub kept: Features,
    /// Of those that were asked for, [N P, classes].
    pub predictions: Predictions,
}

/// Some pictures of one shape, by number.
pub struct Pictures<'a> {
    pub shape: ImageShape,
    pub count: usize,
    /// Those of a range, [N, H, W, C].
    pub get: &'a mut dyn FnMut(Range<usize>) -> Result<Vec<f32>>,
    /// Whether to get them costs little beside judging them: then it is looked at whether they are those that the
    /// journal knows.
    pub cheap: bool,
}

/// Judges pictures but for those that the journal knows, and keeps the predictions of `predicted` of them, evenly
/// spread. `progress` hears how many are done.
pub fn collect(
    extractor: &dyn Extractor,
    pictures: Pictures,
    predicted: usize,
    journal: &mut Journal,
    progress: &mut dyn FnMut(usize),
) -> Result<Collected> {
    let Pictures { shape, count, get, cheap } = pictures;
    let (dim, classes) = (extractor.features(shape), extractor.classes());
    let (mut moments, mut kept, mut predictions) = (Moments::new(dim), Features::new(dim), Predictions::new(classes));
    let (keep, predict) = (spread(count, KEPT), spread(count, predicted));
    let sum = |images: &Vec<f32>| crc32fast::hash(bytemuck::cast_slice(images));
    for first in (0..count).step_by(BATCH) {
        let numbers = first..count.min(first + BATCH);
        let images = cheap.then(|| get(numbers.clone())).transpose()?;
        let verdicts = match journal.next(images.as_ref().map(sum)) {
            Some(known) => known,
            None => {
                let images = images.map_or_else(|| get(numbers.clone()), Ok)?;
                let mut verdicts = extractor.judge(&images, shape)?;
                if predicted == 0 {
                    verdicts.probabilities.clear();
                }
                journal.add(sum(&images), &verdicts);
                verdicts
            }
        };
        let mut batch = Features::new(dim);
        batch.push(&verdicts.features);
        moments.add(&batch);
        let kept_now = numbers.clone().zip(batch.iter()).filter(|(number, _)| keep(*number));
        kept_now.for_each(|(_, features)| kept.push(features));
        let rows = verdicts.probabilities.chunks_exact(classes * extractor.predictions(shape));
        let predicted_now = numbers.clone().zip(rows).filter(|(number, _)| predict(*number));
        predicted_now.for_each(|(_, probabilities)| predictions.push(probabilities));
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
