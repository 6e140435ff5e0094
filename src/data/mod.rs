//! Data sets: labelled pictures by index, and the loader that turns them into shuffled batches.

pub mod cifar;
pub mod digits;
pub mod download;
pub mod folder;
pub mod idx;
pub mod lmdb;
pub mod lmdb_pictures;
pub mod loader;
pub mod mnist;
pub mod picture;
pub mod rng;
pub mod survey;
pub mod toys;

pub use cifar::Cifar10;
pub use digits::Digits;
pub use folder::Folder;
pub use lmdb_pictures::LmdbPictures;
pub use loader::{Batch, Loader, LoaderOptions};
pub use mnist::{Mnist, StackMnist};
pub use picture::Fit;
pub use toys::Toy;

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The size of one picture, [H, W, C].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl ImageShape {
    /// A point in the plane: a picture of one pixel whose channels are x and y.
    pub const POINT: ImageShape = ImageShape { height: 1, width: 1, channels: 2 };

    /// Numbers in one picture: H * W * C.
    pub fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Labelled pictures of one shape, read by index from any thread. The same index always gives the same picture.
pub trait Dataset: Send + Sync {
    /// The name by which [`open`] finds it.
    fn name(&self) -> &str;

    /// Where the pictures come from, for people to read.
    fn origin(&self) -> String;

    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shape(&self) -> ImageShape;

    /// Labels are 0 .. classes.
    fn classes(&self) -> usize;

    fn label(&self, index: usize) -> u32;

    /// Whether a training mirrors its pictures at random unless it is told otherwise.
    fn flip_by_default(&self) -> bool {
        false
    }

    /// Writes picture `index` as [H, W, C] in [-1, 1] into `out`, which has exactly `shape().len()` numbers.
    ///
    /// Errors: a picture that cannot be read or decoded.
    fn image(&self, index: usize, out: &mut [f32]) -> Result<()>;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    #[default]
    Train,
    Test,
}

/// Which data set, and where to look for its files.
#[derive(Clone, Debug, Default)]
pub struct DataSpec {
    /// One of [`NAMES`], or the path of a folder or zip file of pictures.
    pub name: String,
    /// The folder of `--data-dir`: looked at before `$DDGAN_DATA` and `./data`. For `folder` what holds the pictures.
    pub data_dir: Option<PathBuf>,
    pub split: Split,
    /// What the pictures of sets without a fixed size are made into.
    pub fit: Fit,
    /// Seeds what is random in the set itself: which digits are stacked, how digits are drawn. It is not the run's
    /// seed, so that runs with different seeds see the same pictures.
    pub seed: u64,
}

pub const NAMES: &[&str] =
    &["digits", "mnist", "stackmnist", "cifar10", "celeba_256", "lsun", "gaussians25", "ring8", "swissroll", "folder"];

/// Opens a data set by name.
///
/// Errors: an unknown name; files that are not found (lists where it looked, and how to get them) or not valid.
pub fn open(spec: &DataSpec) -> Result<Arc<dyn Dataset>> {
    let folders = || search_folders(spec.data_dir.as_deref());
    let mnist = || Mnist::open(&folders()?, spec.split);
    let toy = |kind| Arc::new(Toy::new(kind, spec.split, spec.seed));
    Ok(match spec.name.as_str() {
        "digits" => Arc::new(Digits::new(spec.split, spec.seed)),
        "mnist" => Arc::new(mnist()?),
        "stackmnist" => Arc::new(StackMnist::new(mnist()?, spec.seed)),
        "cifar10" => Arc::new(Cifar10::open(&folders()?, spec.split)?),
        "celeba_256" | "celeba256" => Arc::new(LmdbPictures::celeba(&folders()?, spec.split, spec.fit)?),
        "lsun" => Arc::new(LmdbPictures::lsun(&folders()?, spec.split, spec.fit)?),
        "gaussians25" => toy(toys::Kind::Gaussians25),
        "ring8" => toy(toys::Kind::Ring8),
        "swissroll" => toy(toys::Kind::SwissRoll),
        "folder" => {
            let Some(path) = &spec.data_dir else {
                return Err(Error::config(
                    "the data set `folder` needs --data-dir with a folder or zip file of pictures",
                ));
            };
            Arc::new(Folder::open(path, spec.fit)?)
        }
        path if Path::new(path).exists() => Arc::new(Folder::open(path, spec.fit)?),
        other => {
            let names = NAMES.join(", ");
            return Err(Error::config(format!("unknown data set `{other}`: neither a path nor one of {names}")));
        }
    })
}

/// The folders that hold data sets, in the order in which they are searched.
fn search_folders(data_dir: Option<&Path>) -> Result<Vec<PathBuf>> {
    // A mistyped folder must not silently mean another one.
    if let Some(dir) = data_dir.filter(|dir| !dir.is_dir()) {
        return Err(Error::NotFound(format!("--data-dir {}: there is no such folder", dir.display())));
    }
    let from_environment = std::env::var_os("DDGAN_DATA").filter(|v| !v.is_empty()).map(PathBuf::from);
    let folders = data_dir.map(Path::to_path_buf).into_iter().chain(from_environment);
    Ok(folders.chain([PathBuf::from("data")]).collect())
}

/// Where data that is fetched belongs: the given folder, `$DDGAN_DATA`, or `./data`.
pub fn home(data_dir: Option<&Path>) -> PathBuf {
    let from_environment = || std::env::var_os("DDGAN_DATA").filter(|v| !v.is_empty()).map(PathBuf::from);
    data_dir.map(Path::to_path_buf).or_else(from_environment).unwrap_or_else(|| "data".into())
}

/// What `look` finds in the first of the folders where it finds all it needs; else, for an error, a line for each
/// folder with what it says about it.
fn first_found<T>(
    folders: impl IntoIterator<Item = PathBuf>,
    look: impl Fn(&Path) -> std::result::Result<T, String>,
) -> std::result::Result<T, String> {
    let mut looked = String::new();
    for folder in folders {
        let missing = match look(&folder) {
            Ok(found) => return Ok(found),
            Err(_) if !folder.is_dir() => "no such folder".into(),
            Err(missing) => missing,
        };
        looked.push_str(&format!("\n  {}: {missing}", folder.display()));
    }
    Err(looked)
}

/// The largest file of a picture that is read.
const MAX_PICTURE: u64 = 256 << 20;

/// Side of the grey pictures of MNIST, and of those that are drawn like them.
const SIDE: usize = 28;
/// Zero-padded so that the networks can halve them.
const PADDED: usize = 32;

/// Writes a 28x28 grey picture into one channel of a 32x32 one. The padding is black before the bytes are scaled, so
/// the border becomes -1.
fn pad_and_scale(pixels: &[u8], out: &mut [f32], channel: usize, channels: usize) {
    const MARGIN: usize = (PADDED - SIDE) / 2;
    assert_eq!((pixels.len(), out.len()), (SIDE * SIDE, PADDED * PADDED * channels));
    out.iter_mut().skip(channel).step_by(channels).for_each(|x| *x = -1.0);
    for (y, row) in pixels.chunks_exact(SIDE).enumerate() {
        let start = ((y + MARGIN) * PADDED + MARGIN) * channels + channel;
        for (x, &byte) in out[start..].iter_mut().step_by(channels).zip(row) {
            *x = byte_to_unit(byte);
        }
    }
}

/// 0 ..= 255 to [-1, 1].
#[inline]
pub fn byte_to_unit(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}
