//! A trained classifier with what is known of it, and its file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::extractor::{Extractor, Verdicts};
use crate::autograd::no_grad;
use crate::checkpoint::{self, safetensors};
use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::models::{Classifier, Scores};
use crate::tensor::{Device, Tensor};

/// What is told of a classifier beside its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The name of the data set whose classes it knows.
    pub dataset: String,
    pub classes: usize,
    /// The share of the data set's test pictures that it gets right.
    pub accuracy: f64,
    pub test_pictures: usize,
    pub epochs: u64,
    pub seed: u64,
}

pub struct SavedClassifier {
    pub network: Classifier,
    pub about: About,
    /// Of its parameters: tells one training from another.
    checksum: u32,
}

/// The entry of the file's string map.
const KEY: &str = "ddgan.classifier";
/// Pictures at once.
const BATCH: usize = 128;
/// Beyond any classifier of ours: a file that claims more is not believed.
const MOST_CLASSES: usize = 100_000;

impl SavedClassifier {
    pub fn new(network: Classifier, about: About) -> SavedClassifier {
        let mut sum = crc32fast::Hasher::new();
        network.params().iter().for_each(|param| sum.update(&param.value().to_le_bytes()));
        SavedClassifier { network, about, checksum: sum.finalize() }
    }

    /// Writes the parameters and [`About`].
    ///
    /// Errors: the disk's.
    pub fn save(&self, path: &Path) -> Result<()> {
        let about = serde_json::to_string(&self.about).expect("strings and numbers");
        let tensors: Vec<_> = checkpoint::entries("", self.network.params()).collect();
        safetensors::write(path, (KEY, about), &tensors)
    }

    /// Errors: no file of a classifier, damaged, tensors that do not fit.
    pub fn open(path: &Path, device: &Device) -> Result<SavedClassifier> {
        let mut reader = safetensors::Reader::open(path)?;
        reader.verify()?;
        let Some(text) = reader.metadata(KEY) else {
            let what = "is no classifier of `ddgan train-classifier`: its header has no entry";
            return Err(Error::format(path, format!("{what} `{KEY}`")));
        };
        let about: About =
            serde_json::from_str(text).map_err(|e| Error::format(path, format!("its entry `{KEY}`: {e}")))?;
        if !(1..=MOST_CLASSES).contains(&about.classes) {
            return Err(Error::format(path, format!("claims {} classes", about.classes)));
        }
        let network = Classifier::new(about.classes, 0, device)?;
        checkpoint::load(&mut reader, "", network.params())?;
        Ok(SavedClassifier::new(network, about))
    }
}

/// Judges pictures channel by channel: the middle 28x28 of each, which may not be smaller than that.
impl Extractor for SavedClassifier {
    fn describe(&self) -> String {
        let About { dataset, accuracy, test_pictures, .. } = &self.about;
        let (percent, checksum) = (100.0 * accuracy, self.checksum);
        // Two that are right equally often have other features.
        format!(
            "our classifier of {dataset}, right for {percent:.2} % of {test_pictures} test pictures, parameters {checksum:08x}"
        )
    }

    fn identity(&self) -> String {
        format!("ddgan classifier of {}, parameters {:08x}", self.about.dataset, self.checksum)
    }

    fn device(&self) -> Device {
        self.network.params()[0].value().device()
    }

    fn features(&self, shape: ImageShape) -> usize {
        shape.channels * Classifier::FEATURES
    }

    fn classes(&self) -> usize {
        self.about.classes
    }

    fn predictions(&self, shape: ImageShape) -> usize {
        shape.channels
    }

    fn dataset(&self) -> Option<&str> {
        Some(&self.about.dataset)
    }

    fn judge(&self, images: &[f32], shape: ImageShape) -> Result<Verdicts> {
        let device = self.device();
        let (mut features, mut probabilities) = (Vec::new(), Vec::new());
        for images in images.chunks(BATCH * shape.len()) {
            let scores = no_grad(|| self.network.forward(&crop(images, shape, middle(shape)?, &device)?))?;
            let Scores { features: some, logits } = scores;
            features.extend(some.value().to_f32());
            probabilities.extend(softmax(&logits.value().to_f32(), self.about.classes));
        }
        Ok(Verdicts { features, probabilities })
    }
}

impl std::fmt::Display for SavedClassifier {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Where the middle is cut out, the same for every picture.
///
/// Errors: pictures that are smaller than what is cut out.
fn middle(shape: ImageShape) -> Result<impl Fn(usize) -> [usize; 2]> {
    const SIDE: usize = Classifier::SIDE;
    let ImageShape { height, width, .. } = shape;
    if height.min(width) < SIDE {
        let what = format!("pictures of {height}x{width}; the classifier knows those of {SIDE}x{SIDE} or more");
        return Err(Error::config(what));
    }
    let corner = [(height - SIDE) / 2, (width - SIDE) / 2];
    Ok(move |_| corner)
}

/// The channels of pictures [N, H, W, C], each cut to 28x28 from the row and column on that `corner` gives for its
/// picture: [N C, 28, 28, 1].
pub(super) fn crop(
    images: &[f32],
    shape: ImageShape,
    corner: impl Fn(usize) -> [usize; 2],
    device: &Device,
) -> Result<Tensor> {
    const SIDE: usize = Classifier::SIDE;
    let ImageShape { width, channels, .. } = shape;
    let mut cut = Vec::with_capacity(images.len() / shape.len() * channels * SIDE * SIDE);
    for (number, image) in images.chunks_exact(shape.len()).enumerate() {
        let [top, left] = corner(number);
        for channel in 0..channels {
            for row in image.chunks_exact(width * channels).skip(top).take(SIDE) {
                cut.extend(row[left * channels + channel..].iter().step_by(channels).take(SIDE));
            }
        }
    }
    let count = cut.len() / (SIDE * SIDE);
    Tensor::from_f32(&cut, [count, SIDE, SIDE, 1]).to_device(device)
}

/// exp(x_i) / sum of exp(x_j), for every row of `classes` numbers.
pub(super) fn softmax(logits: &[f32], classes: usize) -> Vec<f32> {
    let row = |row: &[f32]| {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = row.iter().map(|x| f64::from(x - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(move |p| (p / sum) as f32)
    };
    logits.chunks_exact(classes).flat_map(row).collect()
}
