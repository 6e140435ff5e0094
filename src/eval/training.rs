//! Training of our own classifier, for data sets of digits.

use std::sync::Arc;

use rayon::prelude::*;

use super::classifier::{About, SavedClassifier, crop, softmax};
use super::extractor::Extractor;
use crate::autograd::{Graph, Var, grad};
use crate::backend::philox::philox4x32;
use crate::data::{Batch, Dataset, Loader, LoaderOptions};
use crate::error::{Error, Result};
use crate::metrics::Predictions;
use crate::models::Classifier;
use crate::tensor::{Device, Key, Tensor, stream};
use crate::train::{Gradients, Optimizer};

/// How a classifier is trained.
#[derive(Clone, Debug)]
pub struct ClassifierTraining {
    pub epochs: u64,
    pub batch_size: usize,
    /// Adam's learning rate at the beginning; it goes to 0 along a cosine.
    pub lr: f64,
    /// Decides the first parameters, the order of the pictures and where they are cut.
    pub seed: u64,
}

impl Default for ClassifierTraining {
    fn default() -> Self {
        ClassifierTraining { epochs: 3, batch_size: 64, lr: 2e-3, seed: 0 }
    }
}

/// Where a training is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub step: u64,
    pub steps: u64,
    /// The mean cross-entropy since the last report.
    pub loss: f64,
}

/// Steps between two reports.
const REPORT_EVERY: u64 = 100;
const BETAS: [f64; 2] = [0.9, 0.999];

/// Minimises the cross-entropy on `train`, whose pictures are cut at random places, and counts what is right of `test`.
///
/// Errors: pictures that are not grey or smaller than 28x28, a loss that is not finite.
pub fn train_classifier(
    train: Arc<dyn Dataset>,
    test: &dyn Dataset,
    options: &ClassifierTraining,
    device: &Device,
    report: &mut dyn FnMut(Progress),
) -> Result<SavedClassifier> {
    let (shape, classes, dataset) = (train.shape(), train.classes(), train.name().to_string());
    if shape.channels != 1 || shape.height.min(shape.width) < Classifier::SIDE || test.shape() != shape {
        let what = format!("data set `{dataset}`: the classifier learns grey pictures of at least 28x28");
        return Err(Error::config(what));
    }
    let network = Classifier::new(classes, options.seed, device)?;
    let mut optimizer = Optimizer::new(network.params(), BETAS[0], BETAS[1])?;
    let &ClassifierTraining { epochs, batch_size, seed, .. } = options;
    let mut loader = Loader::new(train, LoaderOptions { batch_size, seed, flip: false, threads: 0 }, 0)?;
    let steps = epochs * loader.batches_per_epoch();
    let (mut batch, mut losses) = (Batch::default(), 0.0);
    for step in 0..steps {
        loader.next(&mut batch)?;
        let key = Key { seed, stream: stream("classifier/crop", step) };
        let corner = |picture: usize| {
            let [top, left, ..] = philox4x32(key, picture as u64);
            let places = [shape.height, shape.width].map(|size| (size - Classifier::SIDE + 1) as u32);
            [(top % places[0]) as usize, (left % places[1]) as usize]
        };
        let pictures = crop(&batch.images, shape, corner, device)?;
        let (loss, gradients) = gradients(&network, &pictures, &batch.labels)?;
        if !loss.is_finite() {
            let what = format!("the classifier's loss is {loss}; a lower learning rate may help");
            return Err(Error::Training { step, what });
        }
        let angle = std::f64::consts::PI * step as f64 / steps as f64;
        optimizer.step(network.params(), &gradients, options.lr * (1.0 + angle.cos()) / 2.0, None)?;
        losses += loss;
        if (step + 1).is_multiple_of(REPORT_EVERY) {
            report(Progress { step: step + 1, steps, loss: losses / REPORT_EVERY as f64 });
            losses = 0.0;
        }
    }
    let about = About { dataset, classes, accuracy: 0.0, test_pictures: test.len(), epochs, seed };
    let mut trained = SavedClassifier::new(network, about);
    trained.about.accuracy = accuracy(&trained, test)?;
    Ok(trained)
}

/// The mean of -ln p(label) and its gradients. Its derivative by the logits is (p - [class = label]) / N; for so few
/// numbers that is computed here, and the tape goes on from there.
fn gradients(network: &Classifier, pictures: &Tensor, labels: &[u32]) -> Result<(f64, Gradients)> {
    let (classes, n) = (network.classes(), labels.len() as f64);
    let logits = network.forward(pictures)?.logits;
    let mut p = softmax(&logits.value().to_f32(), classes);
    let mut loss = 0.0;
    for (row, &label) in p.chunks_exact_mut(classes).zip(labels) {
        let own = &mut row[label as usize];
        loss -= f64::from(own.max(f32::MIN_POSITIVE)).ln() / n;
        *own -= 1.0;
        row.iter_mut().for_each(|x| *x /= n as f32);
    }
    let d_logits = Var::constant(Tensor::from_f32(&p, logits.shape()).to_device(&logits.device())?);
    let params: Vec<Var> = network.params().iter().map(|p| p.var()).collect();
    let params: Vec<&Var> = params.iter().collect();
    Ok((loss, grad(&logits, Some(&d_logits), &params, Graph::Free)?))
}

/// The share of pictures whose label is the most probable class.
fn accuracy(classifier: &SavedClassifier, data: &dyn Dataset) -> Result<f64> {
    const BATCH: usize = 1000;
    let shape = data.shape();
    let mut right = 0;
    let mut images = vec![0.0; BATCH.min(data.len()) * shape.len()];
    for first in (0..data.len()).step_by(BATCH) {
        let count = BATCH.min(data.len() - first);
        let images = &mut images[..count * shape.len()];
        images.par_chunks_exact_mut(shape.len()).enumerate().try_for_each(|(i, out)| data.image(first + i, out))?;
        let mut predictions = Predictions::new(classifier.about.classes);
        predictions.push(&classifier.judge(images, shape)?.probabilities);
        right += predictions.best().zip(first..).filter(|((class, _), i)| *class as u32 == data.label(*i)).count();
    }
    Ok(right as f64 / data.len() as f64)
}
