//! CIFAR-10: 32x32 pictures of ten classes, in the binary version (records of a label and 3072 bytes) or the Python
//! one (pickled dictionaries with an array of numpy).

use super::{Dataset, ImageShape, Split, byte_to_unit, first_found};
use crate::error::{Error, IoContext, Result};
use crate::pickle::Pickle;
use std::fs;
use std::path::{Path, PathBuf};

const SHAPE: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };
const PLANE: usize = 32 * 32;
const PIXELS: usize = 3 * PLANE;
const CLASSES: usize = 10;
/// A file holds 10,000 pictures, 31 MB; one that is much longer is something else.
const MAX_BYTES: u64 = 64 << 20;

/// The tiny pictures of Krizhevsky, Nair and Hinton: 50,000 to train, 10,000 to test.
pub struct Cifar10 {
    folder: PathBuf,
    /// [N, 3, 32, 32]
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Cifar10 {
    /// Reads the first folder that has all files of the split, of the given ones and their `cifar10`, and in each
    /// `cifar-10-batches-bin` and `cifar-10-batches-py`, the folders of the published archives.
    ///
    /// Errors: no folder has them; a file is not what it should be.
    pub fn open(folders: &[PathBuf], split: Split) -> Result<Cifar10> {
        let sets = folders.iter().flat_map(|f| [f.clone(), f.join("cifar10")]);
        let places = sets.flat_map(|f| [f.join("cifar-10-batches-bin"), f.join("cifar-10-batches-py"), f]);
        let [names, _] = file_names(split);
        let found = first_found(places, |folder| find_files(folder, split));
        let files = found.map_err(|looked| {
            Error::NotFound(format!(
                "CIFAR-10 was not found. Looked for {} (or the same without .bin) in{looked}\n\
                 Get it with `ddgan data fetch cifar10`, or name its folder with --data-dir or $DDGAN_DATA.",
                names.join(", "),
            ))
        })?;
        Cifar10::read(&files)
    }

    /// Reads batches, each in the version that its content shows.
    ///
    /// Errors name the file: cut short, neither version, a label that is none, another number of pictures than the
    /// other files have.
    pub fn read(files: &[PathBuf]) -> Result<Cifar10> {
        let folder = files.first().and_then(|f| f.parent()).unwrap_or(Path::new(".")).to_path_buf();
        let mut cifar = Cifar10 { folder, pixels: Vec::new(), labels: Vec::new() };
        for (done, file) in files.iter().enumerate() {
            let before = cifar.labels.len();
            if file.extension().is_some_and(|e| e == "bin") {
                cifar.read_binary(file)?
            } else {
                cifar.read_pickle(file)?
            }
            let labels = &cifar.labels[before..];
            if let Some(at) = labels.iter().position(|&label| usize::from(label) >= CLASSES) {
                let what = format!("label {at} is {}, expected 0 to 9; get the file again", labels[at]);
                return Err(Error::format(file, what));
            }
            let (count, each) = (labels.len(), before / done.max(1));
            if done > 0 && count != each {
                let what = format!("holds {count} pictures, the files before it {each} each; get it again");
                return Err(Error::format(file, what));
            }
        }
        Ok(cifar)
    }

    /// Records of a label and the red, the green and the blue plane.
    fn read_binary(&mut self, file: &Path) -> Result<()> {
        let length = fs::metadata(file).at(file, "read")?.len();
        if length == 0 || length > MAX_BYTES || length % (1 + PIXELS as u64) != 0 {
            let what = format!("has {length} bytes, expected records of {}; get the file again", 1 + PIXELS);
            return Err(Error::format(file, what));
        }
        for record in fs::read(file).at(file, "read")?.chunks_exact(1 + PIXELS) {
            self.labels.push(record[0]);
            self.pixels.extend(&record[1..]);
        }
        Ok(())
    }

    /// A dictionary with `data`, [N, 3072] bytes in planes, and `labels`, a list of N.
    fn read_pickle(&mut self, file: &Path) -> Result<()> {
        let pickle = Pickle::open(file)?;
        let wrong = |what: String| Error::format(file, format!("is no batch of CIFAR-10: {what}"));
        let entry = |key: &str| {
            let root = pickle.root();
            root.get(key).ok_or_else(|| wrong(format!("it holds {}, expected a dict with `{key}`", root.describe())))
        };
        let (data, labels) = (entry("data")?, entry("labels")?);
        let array = data.array().ok_or_else(|| wrong(format!("`data` is {}, expected an array", data.describe())))?;
        let labels: Option<Vec<u8>> = labels.items().and_then(|labels| labels.map(|label| label.int()).collect());
        let labels = labels.ok_or_else(|| wrong("`labels` is no list of integers from 0 to 9".into()))?;
        if array.dtype != "|u1" || array.fortran_order || array.shape != [labels.len(), PIXELS] || labels.is_empty() {
            let (n, shape, dtype) = (labels.len(), &array.shape, &array.dtype);
            let got = format!("`data` has the shape {shape:?} and the type {dtype} for {n} labels");
            return Err(wrong(format!("{got}, expected [{n}, {PIXELS}] and |u1 (bytes, in C order)")));
        }
        self.pixels.extend_from_slice(&array.data);
        self.labels.extend(labels);
        Ok(())
    }
}

/// The binary version's files, then the Python version's.
fn file_names(split: Split) -> [Vec<String>; 2] {
    let names: Vec<String> = match split {
        Split::Train => (1..=5).map(|i| format!("data_batch_{i}")).collect(),
        Split::Test => vec!["test_batch".into()],
    };
    [names.iter().map(|name| format!("{name}.bin")).collect(), names]
}

/// All files of a split, or what there is instead.
fn find_files(folder: &Path, split: Split) -> std::result::Result<Vec<PathBuf>, String> {
    let mut missing = None;
    for names in file_names(split) {
        let (found, absent): (Vec<PathBuf>, _) = names.iter().map(|n| folder.join(n)).partition(|path| path.is_file());
        match (found.is_empty(), absent.first()) {
            (_, None) => return Ok(found),
            (false, Some(absent)) => missing = Some(format!("{} is missing", absent.display())),
            _ => {}
        }
    }
    Err(missing.unwrap_or_else(|| "none of them".into()))
}

impl Dataset for Cifar10 {
    fn name(&self) -> &str {
        "cifar10"
    }

    fn origin(&self) -> String {
        self.folder.display().to_string()
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        SHAPE
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index].into()
    }

    fn flip_by_default(&self) -> bool {
        true
    }

    fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        for (channel, plane) in self.pixels[index * PIXELS..][..PIXELS].chunks_exact(PLANE).enumerate() {
            for (x, &byte) in out.iter_mut().skip(channel).step_by(3).zip(plane) {
                *x = byte_to_unit(byte);
            }
        }
        Ok(())
    }
}
