//! MNIST: 28x28 grey digits of ten classes, as one channel or stacked by threes into a set of 1,000 classes.

use super::idx::Idx;
use super::rng::{Philox, Purpose};
use super::{Dataset, ImageShape, PADDED, SIDE, Split, first_found, pad_and_scale};
use crate::error::{Error, Result};
use rand::seq::SliceRandom;
use std::path::{Path, PathBuf};

const CLASSES: usize = 10;

/// The handwritten digits of LeCun, Cortes and Burges, zero-padded to 32x32. 60,000 to train, 10,000 to test.
pub struct Mnist {
    folder: PathBuf,
    /// [N, 28, 28]
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Mnist {
    /// Reads the first folder, of the given ones and their `mnist` and `MNIST/raw` folders, that has both files.
    ///
    /// Errors: no folder has them; a file is not what it should be; pictures and labels do not belong together.
    pub fn open(folders: &[PathBuf], split: Split) -> Result<Mnist> {
        let places = folders.iter().flat_map(|f| [f.clone(), f.join("mnist"), f.join("MNIST").join("raw")]);
        let found = first_found(places, |folder| {
            let [images, labels] = file_names(split).map(|name| find_file(folder, name));
            match (images, labels) {
                (Some(images), Some(labels)) => Ok([images, labels]),
                (None, None) => Err("neither file".into()),
                (None, _) => Err("the labels without the pictures".into()),
                _ => Err("the pictures without the labels".into()),
            }
        });
        let [images, labels] = found.map_err(|looked| {
            let [images, labels] = file_names(split);
            Error::NotFound(format!(
                "MNIST was not found. Looked for {images} and {labels} (plain or .gz) in{looked}\n\
                 Get them with `ddgan data fetch mnist`, or name their folder with --data-dir or $DDGAN_DATA. (The data \
                 set `digits` needs no files.)"
            ))
        })?;
        Mnist::read(&images, &labels)
    }

    /// Reads one file of pictures and one of labels.
    pub fn read(image_file: &Path, label_file: &Path) -> Result<Mnist> {
        let images = Idx::read(image_file, 3)?;
        let labels = Idx::read(label_file, 1)?.data;
        let [count, height, width] = images.dims[..] else { unreachable!("rank 3 was asked for") };
        if (height, width) != (SIDE, SIDE) {
            let what = format!("holds pictures of {height}x{width}, expected {SIDE}x{SIDE}");
            return Err(Error::format(image_file, what));
        }
        if count == 0 {
            return Err(Error::format(image_file, "holds no pictures"));
        }
        if count != labels.len() {
            let (n, images) = (labels.len(), image_file.display());
            let what =
                format!("holds {n} labels for the {count} pictures of {images}: the files of two sets are mixed");
            return Err(Error::format(label_file, what));
        }
        if let Some((at, label)) = labels.iter().enumerate().find(|&(_, &label)| usize::from(label) >= CLASSES) {
            return Err(Error::format(label_file, format!("label {at} is {label}, expected a digit 0 to 9")));
        }
        let folder = image_file.parent().unwrap_or(Path::new(".")).to_path_buf();
        Ok(Mnist { folder, pixels: images.data, labels })
    }

    fn pixels(&self, index: usize) -> &[u8] {
        &self.pixels[index * SIDE * SIDE..][..SIDE * SIDE]
    }
}

fn file_names(split: Split) -> [&'static str; 2] {
    match split {
        Split::Train => ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
        Split::Test => ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
    }
}

/// The file under its published name, or with the dot that some archives put before `idx`.
fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_string(), format!("{name}.gz"), format!("{dotted}.gz"), dotted];
    names.into_iter().map(|n| folder.join(n)).find(|path| path.is_file())
}

impl Dataset for Mnist {
    fn name(&self) -> &str {
        "mnist"
    }

    fn origin(&self) -> String {
        self.folder.display().to_string()
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        ImageShape { height: PADDED, width: PADDED, channels: 1 }
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index].into()
    }

    fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        pad_and_scale(self.pixels(index), out, 0, 1);
        Ok(())
    }
}

/// Three digits of MNIST as the red, green and blue of one picture: label = 100 R + 10 G + B.
///
/// Each channel runs through two independent permutations of the N digits, one after the other, so there are 2 N
/// triples (120,000) and every digit is used exactly twice a channel. The published loader draws them anew at every
/// start; here they follow from the seed.
pub struct StackMnist {
    digits: Mnist,
    /// Per channel the digit of each triple.
    order: [Vec<u32>; 3],
}

impl StackMnist {
    pub fn new(digits: Mnist, seed: u64) -> StackMnist {
        let n = digits.len() as u32;
        let order = [0, 1, 2].map(|channel| {
            let mut order: Vec<u32> = (0..n).chain(0..n).collect();
            for (half, part) in (0..).zip(order.chunks_exact_mut(n as usize)) {
                part.shuffle(&mut Philox::new(Purpose::Stack.key(seed, 2 * channel + half)));
            }
            order
        });
        StackMnist { digits, order }
    }

    /// The digits of MNIST that make up triple `index`: red, green, blue.
    pub fn triple(&self, index: usize) -> [usize; 3] {
        [0, 1, 2].map(|channel| self.order[channel][index] as usize)
    }
}

impl Dataset for StackMnist {
    fn name(&self) -> &str {
        "stackmnist"
    }

    fn origin(&self) -> String {
        self.digits.origin()
    }

    fn len(&self) -> usize {
        self.order[0].len()
    }

    fn shape(&self) -> ImageShape {
        ImageShape { channels: 3, ..self.digits.shape() }
    }

    fn classes(&self) -> usize {
        CLASSES.pow(3)
    }

    fn label(&self, index: usize) -> u32 {
        self.triple(index).into_iter().fold(0, |label, digit| 10 * label + self.digits.label(digit))
    }

    fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        for (channel, digit) in self.triple(index).into_iter().enumerate() {
            pad_and_scale(self.digits.pixels(digit), out, channel, 3);
        }
        Ok(())
    }
}
