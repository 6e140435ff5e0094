//! Features and predictions of pictures, batch by batch.

use std::ops::Range;

use super::extractor::Extractor;
use super::journal::Journal;
use crate::backend::philox::philox4x32;
use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::metrics::{Features, Moments, Predictions};
use crate::tensor::{Key, stream};

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
    /// Pictures got and judged at once.
    pub batch: usize,
    /// Those of a range, [N, H, W, C].
    pub get: &'a mut dyn FnMut(Range<usize>) -> Result<Vec<f32>>,
    /// Whether to get them costs little beside judging them: then it is looked at whether they are those that the
    /// journal knows.
    pub cheap: bool,
}

/// Judges pictures but for those that the journal knows, and keeps the predictions of `predicted` of them, evenly
/// spread. `progress` hears how many are done.
///
/// Errors: a picture that cannot be had or judged, features that are not finite.
pub fn collect(
    extractor: &dyn Extractor,
    pictures: Pictures,
    predicted: usize,
    journal: &mut Journal,
    progress: &mut dyn FnMut(usize),
) -> Result<Collected> {
    let Pictures { shape, count, batch, get, cheap } = pictures;
    let (dim, classes) = (extractor.features(shape), extractor.classes());
    let (mut moments, mut kept, mut predictions) = (Moments::new(dim), Features::new(dim), Predictions::new(classes));
    let (keep, predict) = (Spread::new(count, KEPT), Spread::new(count, predicted));
    let sum = |images: &Vec<f32>| crc32fast::hash(bytemuck::cast_slice(images));
    for first in (0..count).step_by(batch) {
        let numbers = first..count.min(first + batch);
        let images = cheap.then(|| get(numbers.clone())).transpose()?;
        let verdicts = match journal.next(images.as_ref().map(sum)) {
            Some(known) => known,
            None => {
                let images = images.map_or_else(|| get(numbers.clone()), Ok)?;
                let mut verdicts = extractor.judge(&images, shape)?;
                if !verdicts.features.iter().all(|x| x.is_finite()) {
                    let what =
                        format!("pictures {numbers:?} have features that are not finite: other weights are needed");
                    return Err(Error::config(format!("{}: {what}", extractor.describe())));
                }
                if predicted == 0 {
                    verdicts.probabilities.clear();
                }
                journal.add(sum(&images), &verdicts);
                verdicts
            }
        };
        let mut features = Features::new(dim);
        features.push(&verdicts.features);
        moments.add(&features);
        let kept_now = numbers.clone().zip(features.iter()).filter(|(number, _)| keep.contains(*number));
        kept_now.for_each(|(_, features)| kept.push(features));
        let rows = verdicts.probabilities.chunks_exact(classes * extractor.predictions(shape));
        let predicted_now = numbers.clone().zip(rows).filter(|(number, _)| predict.contains(*number));
        predicted_now.for_each(|(_, probabilities)| predictions.push(probabilities));
        progress(numbers.end);
    }
    Ok(Collected { count, moments, kept, predictions })
}

/// Some of the numbers below `all`, from all over.
///
/// There is one from each of equal parts, by chance, but always the same. At even distances they could keep step with
/// the data: of pictures whose ten classes take turns, every sixth has half of the classes.
#[derive(Clone, Copy)]
pub struct Spread {
    all: u128,
    some: u128,
}

impl Spread {
    /// `some` numbers, or all if they are fewer.
    pub fn new(all: usize, some: usize) -> Spread {
        Spread { all: all as u128, some: some.min(all) as u128 }
    }

    /// The `i`-th of them, counted from 0.
    pub fn at(self, i: usize) -> usize {
        let key = Key { seed: 0, stream: stream("eval/spread", 0) };
        let start = |part: u128| part * self.all / self.some;
        let (first, end) = (start(i as u128), start(i as u128 + 1));
        (first + u128::from(philox4x32(key, i as u64)[0]) % (end - first)) as usize
    }

    /// Whether a number below `all` is one of them.
    pub fn contains(self, number: usize) -> bool {
        // The last part that starts at or before the number.
        let part = |number: u128| ((number + 1) * self.some - 1) / self.all;
        self.some > 0 && self.at(part(number as u128) as usize) == number
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn as_many_as_asked_for_are_picked_all_over() {
        for (all, some) in [(10, 3), (10, 10), (7, 20), (60_000, 10_000), (1, 1), (5, 0), (1000, 7)] {
            let (spread, count) = (Spread::new(all, some), some.min(all));
            let picked: Vec<usize> = (0..all).filter(|&number| spread.contains(number)).collect();
            assert_eq!(picked, (0..count).map(|i| spread.at(i)).collect::<Vec<_>>(), "{some} of {all}");
            for (i, number) in picked.into_iter().enumerate() {
                assert!((i * all / count..(i + 1) * all / count).contains(&number), "{some} of {all}: {number}");
            }
        }
    }

    #[test]
    fn classes_that_take_turns_are_picked_alike() {
        for some in [2_000, 6_000, 10_000, 12_000, 30_000] {
            let mut classes = [0; 10];
            (0..some).for_each(|i| classes[Spread::new(60_000, some).at(i) % 10] += 1);
            let even = some / 10;
            assert!(classes.iter().all(|count| (even * 3 / 4..even * 5 / 4).contains(count)), "{some}: {classes:?}");
        }
    }
}
