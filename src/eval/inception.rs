//! FID's own network, from a file that the user has.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::classifier::softmax;
use super::extractor::{Extractor, Verdicts};
use crate::checkpoint::pth::{self, Pth};
use crate::checkpoint::published::to_published;
use crate::checkpoint::safetensors::{self, Reader};
use crate::checkpoint::{self, Tensors};
use crate::data::ImageShape;
use crate::error::{Error, IoContext, Result};
use crate::models::{Inception, Scores};
use crate::nn::Param;
use crate::tensor::{Device, Tensor};

/// Inception-v3 with the weights of a file.
pub struct SavedInception {
    network: Inception,
    device: Device,
    /// The SHA-256 of the weights, in hexadecimal.
    weights: String,
    /// Whether they are those that FID is defined on.
    published: bool,
    file: String,
}

/// The SHA-256 of files that hold the weights FID is defined on: `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid,
/// which is `weights-inception-2015-12-05-6726825d.pth` of torch-fidelity. Its first digits are in its name; several
/// public programs check it against the whole.
const PUBLISHED_FILES: &[&str] = &["6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"];
/// The same of the weights themselves, as [`digest`] has it, for copies in other formats. A hash belongs here once
/// somebody has seen it of such a file.
const PUBLISHED_WEIGHTS: &[&str] = &[];

/// Pictures at once: some 250 MB in the widest layers.
const BATCH: usize = 20;

impl SavedInception {
    /// Reads `pt_inception-2015-12-05.pth`, or the same tensors as safetensors.
    ///
    /// Errors: neither of them, damaged, another network.
    pub fn open(path: &Path, device: &Device) -> Result<SavedInception> {
        let outline = Inception::outline();
        let (values, published) = if Pth::begins(path)? {
            let file = Pth::open(path)?;
            let dict = pth::StateDict::parse(&file, file.root())?;
            (read(dict, &outline)?, PUBLISHED_FILES.contains(&&sha256(path).at(path, "read")?[..]))
        } else {
            let mut file = Reader::open(path)?;
            file.verify()?;
            (read(safetensors::StateDict(file), &outline)?, false)
        };
        let weights = digest(&outline, &values);
        let published = published || PUBLISHED_WEIGHTS.contains(&&weights[..]);
        let network = Inception::new(values, device)?;
        Ok(SavedInception { network, device: device.clone(), weights, published, file: path.display().to_string() })
    }
}

impl Extractor for SavedInception {
    fn describe(&self) -> String {
        let which = if self.published { "the published weights" } else { "unknown weights" };
        format!("Inception-v3 of FID, {which}, SHA-256 {}", self.weights)
    }

    fn identity(&self) -> String {
        format!("Inception-v3 of FID, weights {}", self.weights)
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn features(&self, _: ImageShape) -> usize {
        Inception::FEATURES
    }

    fn classes(&self) -> usize {
        Inception::CLASSES
    }

    fn predictions(&self, _: ImageShape) -> usize {
        1
    }

    fn dataset(&self) -> Option<&str> {
        None
    }

    fn warning(&self) -> Option<String> {
        (!self.published).then(|| {
            format!(
                "the weights of {} are not known to be those that FID is defined on (their SHA-256 is {}): compare these \
                 numbers with none of others",
                self.file, self.weights
            )
        })
    }

    fn judge(&self, images: &[f32], shape: ImageShape) -> Result<Verdicts> {
        const SIDE: usize = Inception::SIDE;
        let mut verdicts = Verdicts { features: Vec::new(), probabilities: Vec::new() };
        for images in images.chunks(BATCH * shape.len()) {
            let count = images.len() / shape.len();
            let mut resized = vec![0.0; count * SIDE * SIDE * 3];
            let outputs = resized.par_chunks_exact_mut(SIDE * SIDE * 3);
            outputs.zip(images.par_chunks_exact(shape.len())).for_each(|(out, image)| resize(image, shape, out));
            let pictures = Tensor::from_f32(&resized, [count, SIDE, SIDE, 3]).to_device(&self.device)?;
            let Scores { features, logits } = self.network.forward(&pictures)?;
            verdicts.features.extend(features.value().to_f32());
            verdicts.probabilities.extend(softmax(&logits.value().to_f32(), Inception::CLASSES));
        }
        Ok(verdicts)
    }
}

/// The values of the parameters.
fn read(tensors: impl Tensors, outline: &[Param]) -> Result<Vec<Tensor>> {
    let mut tensors = WithoutCounters(tensors);
    checkpoint::read(&mut tensors, "", outline).map_err(|error| match error {
        Error::Format { path, what } => {
            let expected = "is no Inception-v3 as pt_inception-2015-12-05.pth has it, with which FID is defined";
            Error::format(path, format!("{expected}: {what}"))
        }
        other => other,
    })
}

/// The SHA-256 of names, shapes and numbers (f32, little-endian) as published, in the network's order.
fn digest(outline: &[Param], values: &[Tensor]) -> String {
    let mut sum = Sha256::new();
    for (param, value) in outline.iter().zip(values) {
        let value = to_published(param.name(), value);
        sum.update(format!("{} {:?}\n", param.name(), value.shape()));
        sum.update(value.to_le_bytes());
    }
    hexadecimal(sum)
}

/// That of a file.
fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut sum, mut block) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hexadecimal(sum)),
            n => sum.update(&block[..n]),
        }
    }
}

fn hexadecimal(sum: Sha256) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tensors without how many batches each norm has seen, which newer versions of PyTorch save as well.
struct WithoutCounters<T>(T);

impl<T: Tensors> Tensors for WithoutCounters<T> {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn names(&self) -> std::collections::BTreeSet<String> {
        self.0.names().into_iter().filter(|name| !name.ends_with(".num_batches_tracked")).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.shape(name)
    }

    fn is_float(&self, name: &str) -> bool {
        self.0.is_float(name)
    }

    fn read(&mut self, name: &str) -> Result<Tensor> {
        self.0.read(name)
    }
}

/// The two pixels along an axis that a pixel of the result lies between, and how near it is to the second.
struct Between {
    first: usize,
    second: usize,
    weight: f32,
}

/// A picture [H, W, C], grey or in colour, as [299, 299, 3]: bilinear, pixel centres aligned, without smoothing where it
/// shrinks, as PyTorch's `interpolate` does by default.
fn resize(image: &[f32], shape: ImageShape, out: &mut [f32]) {
    const SIDE: usize = Inception::SIDE;
    let axis = |size: usize| -> Vec<Between> {
        let scale = size as f32 / SIDE as f32;
        let between = |i: usize| {
            let at = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
            let first = (at as usize).min(size - 1);
            Between { first, second: (first + 1).min(size - 1), weight: at - first as f32 }
        };
        (0..SIDE).map(between).collect()
    };
    let ImageShape { height, width, channels } = shape;
    let (rows, columns) = (axis(height), axis(width));
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(SIDE * 3)) {
        for (column, out) in columns.iter().zip(out.chunks_exact_mut(3)) {
            for (i, out) in out.iter_mut().enumerate() {
                // Grey becomes the same in all three.
                let at = |y: usize, x: usize| image[(y * width + x) * channels + i % channels];
                let along =
                    |y: usize| (1.0 - column.weight) * at(y, column.first) + column.weight * at(y, column.second);
                *out = (1.0 - row.weight) * along(row.first) + row.weight * along(row.second);
            }
        }
    }
}
