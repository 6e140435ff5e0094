//! What is evaluated: pictures or points that a generator draws when they are asked for, or those that files hold.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::npz::Npz;
use crate::checkpoint;
use crate::data::picture::Fit;
use crate::data::{Folder, ImageShape, byte_to_unit};
use crate::error::{Error, IoContext, Result};
use crate::sample::grid::unit_to_byte;
use crate::sample::{self, Draw, Points, SampleId, Sampler, Source};
use crate::tensor::{DType, Device};

/// Pictures of one shape by number; a point is a picture of 1x1.
pub enum Subject {
    /// Those of a seed, as many as are asked for.
    Generator {
        source: Box<Source>,
        seed: u64,
        device: Device,
    },
    /// The files of a folder or of a zip file, none resized.
    Folder(Folder),
    Array(Array),
    Points(Points),
}

impl Subject {
    /// The pictures of a folder, of a zip file or of an NPZ file; `None` for a run or a checkpoint.
    ///
    /// Errors: nothing there, no pictures in it.
    pub fn open_pictures(path: &Path) -> Result<Option<Subject>> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "npz" => read_array(path).map(Some),
            "zip" => Ok(Some(Subject::Folder(Folder::open(path, Fit::default())?))),
            _ if path.is_dir() && !is_run(path)? => Ok(Some(Subject::Folder(Folder::open(path, Fit::default())?))),
            _ => Ok(None),
        }
    }

    pub fn shape(&self) -> ImageShape {
        match self {
            Subject::Generator { source, .. } => {
                let config = source.generator.config();
                let side = config.image_size;
                ImageShape { height: side, width: side, channels: config.num_channels }
            }
            Subject::Folder(folder) => crate::data::Dataset::shape(folder),
            Subject::Array(array) => array.shape,
            Subject::Points(_) => ImageShape::POINT,
        }
    }

    /// How many there are; a generator has no end.
    pub fn available(&self) -> Option<usize> {
        match self {
            Subject::Generator { .. } => None,
            Subject::Folder(folder) => Some(crate::data::Dataset::len(folder)),
            Subject::Array(array) => Some(array.pixels.len() / array.shape.len()),
            Subject::Points(points) => Some(points.as_slice().len()),
        }
    }

    /// What decides the pictures, as far as the files that hold pictures are what they were.
    pub(super) fn identity(&self) -> String {
        match self {
            Subject::Generator { source, seed, device } => {
                let mut sum = crc32fast::Hasher::new();
                source.generator.params().iter().for_each(|param| sum.update(&param.value().to_le_bytes()));
                let (parameters, config) = (sum.finalize(), source.generator.config());
                let (process, device) = (&source.process, device.name());
                let drawn = (process.method(), process.prediction(), process.sampler(), process.steps().len());
                let schedule = &source.schedule;
                format!("generator {parameters:08x} {config:?}\n{schedule:?}, {drawn:?}, seed {seed} on {device}")
            }
            Subject::Folder(folder) => format!("pictures in {}", crate::data::Dataset::origin(folder)),
            Subject::Array(array) => format!("array of {:?}", array.shape),
            Subject::Points(_) => "points".into(),
        }
    }

    /// What gives pictures [N, H, W, C] in [-1, 1] by their numbers, rounded to bytes as in a file; points as they are.
    ///
    /// Its errors: a picture that cannot be read, or of another size than the first; a generator's numbers that are not
    /// finite; a device that fails.
    pub fn reader(&self) -> Reader<'_> {
        match self {
            Subject::Generator { source, seed, device } => {
                let points = self.shape() == ImageShape::POINT;
                let sampler = Sampler::new(&source.generator, &source.process, DType::F32, device.clone());
                Box::new(move |numbers: Range<usize>| {
                    let id = |number: usize| SampleId { seed: *seed, index: number as u64 };
                    let draws: Vec<Draw> = numbers.map(|number| Draw::Plain(id(number))).collect();
                    let mut drawn = sampler.draw(&draws)?.to_f32();
                    sample::ensure_finite(&drawn)?;
                    if !points {
                        drawn.iter_mut().for_each(|x| *x = byte_to_unit(unit_to_byte(*x)));
                    }
                    Ok(drawn)
                })
            }
            Subject::Folder(folder) => Box::new(move |numbers: Range<usize>| {
                let shape = self.shape();
                let mut images = vec![0.0; numbers.len() * shape.len()];
                let images_of = images.par_chunks_exact_mut(shape.len()).zip(numbers);
                images_of.try_for_each(|(out, number)| folder.exact(number, out))?;
                Ok(images)
            }),
            Subject::Array(array) => Box::new(move |numbers: Range<usize>| {
                let len = array.shape.len();
                Ok(array.pixels[numbers.start * len..numbers.end * len].iter().map(|&b| byte_to_unit(b)).collect())
            }),
            Subject::Points(points) => {
                Box::new(move |numbers: Range<usize>| Ok(points.as_slice()[numbers].as_flattened().to_vec()))
            }
        }
    }
}

/// Gives the pictures of a range of numbers.
pub type Reader<'a> = Box<dyn FnMut(Range<usize>) -> Result<Vec<f32>> + 'a>;

/// Whether a folder is that of a run, ours or the published program's.
fn is_run(folder: &Path) -> Result<bool> {
    if folder.join("config.toml").is_file() || !checkpoint::all(folder)?.is_empty() {
        return Ok(true);
    }
    let mut names = std::fs::read_dir(folder).at(folder, "read")?.filter_map(|entry| entry.ok());
    Ok(names.any(|entry| entry.path().extension().is_some_and(|extension| extension == "pth")))
}

/// Pictures of an NPZ file.
pub struct Array {
    shape: ImageShape,
    pixels: Vec<u8>,
}

/// The pictures or points of an NPZ file: the array `samples` that `ddgan sample` writes, or the only one there is.
fn read_array(path: &Path) -> Result<Subject> {
    let mut archive = Npz::open(path)?;
    let names = archive.names();
    let name = match &names[..] {
        [only] => only,
        _ => names.iter().find(|name| *name == "samples").ok_or_else(|| {
            let what = format!("has the arrays {}; pictures are one array, or `samples`", names.join(", "));
            Error::format(path, what)
        })?,
    };
    let array = archive.array(name)?.expect("listed");
    let (sizes, descr, in_order) = (array.shape().to_vec(), array.dtype().descr(), array.order() == npyz::Order::C);
    let none = || Error::format(path, "holds no pictures");
    match (&sizes[..], descr.as_str()) {
        (&[count, height, width, channels @ (1 | 3)], "'|u1'") if in_order && height * width > 0 => {
            let shape = ImageShape { height: height as usize, width: width as usize, channels: channels as usize };
            let pixels: Vec<u8> = array.into_vec().at(path, "read")?;
            let whole = count > 0 && pixels.len() as u64 == count * shape.len() as u64;
            whole.then_some(Subject::Array(Array { shape, pixels })).ok_or_else(none)
        }
        (&[count, 2], "'<f4'") if in_order => {
            let values: Vec<f32> = array.into_vec().at(path, "read")?;
            let mut points = Points::default();
            if count == 0 || values.len() as u64 != 2 * count {
                return Err(none());
            }
            points.push(&values);
            Ok(Subject::Points(points))
        }
        _ => {
            let what = "pictures are uint8 [N, H, W, C], points float32 [N, 2]";
            Err(Error::format(path, format!("array `{name}` is {sizes:?} {descr}; {what}")))
        }
    }
}

/// The run's folder that a checkpoint is in, or the folder itself.
pub fn run_of(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_path_buf());
    }
    let folder = path.parent()?;
    (folder.file_name()? == checkpoint::FOLDER).then(|| folder.parent().map(Path::to_path_buf)).flatten()
}
