//! Where samples go while they are drawn: a grid or plot, a file each, one array or text for other programs. Files, arrays
//! and text are written as samples come and need no memory for those before; everything is opened before the first one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use npyz::WriterBuilder;
use rayon::prelude::*;
use zip::write::SimpleFileOptions;

use super::grid::{Pictures, grid_shape};
use super::{Points, Samples, png};
use crate::data::ImageShape;
use crate::data::toys::Kind;
use crate::error::{Error, IoContext, Result};
use crate::fsutil::AtomicFile;

/// What is going to be written.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub shape: ImageShape,
    /// Pictures in all.
    pub count: u64,
    /// Of the grid.
    pub columns: usize,
    /// The distribution that points are shown beside.
    pub beside: Option<Kind>,
    /// Whether files that are there may be replaced.
    pub overwrite: bool,
}

/// One of the places where pictures go. Nothing appears under a file's name before it is whole.
pub struct Output {
    path: PathBuf,
    sink: Sink,
    /// Pictures that came, and that will have come in the end.
    done: u64,
    count: u64,
}

enum Sink {
    Grid { file: AtomicFile, pictures: Pictures, columns: usize },
    Folder,
    Npz(Box<zip::ZipWriter<AtomicFile>>),
    Scatter { file: AtomicFile, points: Points, beside: Option<Kind> },
    Csv(AtomicFile),
}

/// Names of files, which nobody means for a folder's.
const OTHER_FORMATS: [&str; 13] =
    ["avif", "bmp", "csv", "gif", "jpeg", "jpg", "npy", "pdf", "svg", "tif", "tiff", "webp", "zip"];

impl Output {
    /// The name decides the form: `NAME.png` is one picture with all of them in a grid, `NAME.npz` one array `samples`
    /// for numpy, uint8 [N, H, W, C], and any other name a folder with a PNG a picture. Of points, `NAME.png` is a
    /// scatter plot, `NAME.npz` float32 [N, 2], and `NAME.csv` text, a line `x,y` each.
    ///
    /// Errors: what is there already and may not be replaced, a folder with files in it, what cannot be written, more
    /// or other pictures than the form takes.
    pub fn open(path: &Path, plan: &Plan) -> Result<Output> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let points = plan.shape == ImageShape::POINT;
        let sink = match extension.as_str() {
            "png" if points => {
                let file = create(path, plan.overwrite)?;
                Sink::Scatter { file, points: Points::default(), beside: plan.beside }
            }
            "csv" if points => {
                let mut file = create(path, plan.overwrite)?;
                writeln!(file, "x,y").at(path, "write")?;
                Sink::Csv(file)
            }
            "png" => {
                png::check(grid_shape(plan.shape, plan.count as usize, plan.columns)?)?;
                let file = create(path, plan.overwrite)?;
                Sink::Grid { file, pictures: Pictures::new(plan.shape), columns: plan.columns }
            }
            "npz" => Sink::Npz(Box::new(begin_npz(create(path, plan.overwrite)?, plan).at(path, "write")?)),
            _ if points => {
                let path = path.display();
                return Err(Error::config(format!("{path}: points are written to .png, a plot, to .npz or to .csv")));
            }
            other if OTHER_FORMATS.contains(&other) => {
                let path = path.display();
                let what = "pictures are written to .png, a grid, to .npz, or to a folder, a PNG each";
                return Err(Error::config(format!("{path}: {what}; .{other} is none of these")));
            }
            _ => {
                png::check(plan.shape)?;
                open_folder(path, plan.overwrite)?;
                Sink::Folder
            }
        };
        Ok(Output { path: path.to_path_buf(), sink, done: 0, count: plan.count })
    }

    /// Adds samples of the plan's shape. In a folder the one with number 7 is `000007.png`.
    pub fn push(&mut self, samples: &Samples, numbers: &[u64]) -> Result<()> {
        assert_eq!(samples.len(), numbers.len());
        self.done += numbers.len() as u64;
        match (&mut self.sink, samples) {
            (Sink::Grid { pictures: all, .. }, Samples::Pictures(pictures)) => {
                all.append(pictures);
                Ok(())
            }
            (Sink::Folder, Samples::Pictures(pictures)) => {
                let shape = pictures.shape();
                let numbered: Vec<_> = pictures.iter().zip(numbers).collect();
                numbered.into_par_iter().try_for_each(|(picture, number)| {
                    let path = self.path.join(format!("{number:06}.png"));
                    let mut file = AtomicFile::create(&path)?;
                    png::encode(&mut file, shape, picture).at(&path, "write")?;
                    file.rename()
                })
            }
            (Sink::Npz(zip), Samples::Pictures(pictures)) => zip.write_all(pictures.pixels()).at(&self.path, "write"),
            (Sink::Npz(zip), Samples::Points(points)) => {
                let bytes: Vec<u8> = points.as_slice().as_flattened().iter().flat_map(|x| x.to_le_bytes()).collect();
                zip.write_all(&bytes).at(&self.path, "write")
            }
            (Sink::Scatter { points: all, .. }, Samples::Points(points)) => {
                all.append(points);
                Ok(())
            }
            (Sink::Csv(file), Samples::Points(points)) => {
                points.as_slice().iter().try_for_each(|[x, y]| writeln!(file, "{x},{y}")).at(&self.path, "write")
            }
            (Sink::Grid { .. } | Sink::Folder, Samples::Points(_))
            | (Sink::Scatter { .. } | Sink::Csv(_), Samples::Pictures(_)) => panic!("samples of another shape"),
        }
    }

    /// Adds samples with the numbers that follow on those before.
    pub fn push_next(&mut self, samples: &Samples) -> Result<()> {
        let numbers: Vec<u64> = (self.done..).take(samples.len()).collect();
        self.push(samples, &numbers)
    }

    /// Gives the file its name, which it returns. All pictures of the plan must have been pushed.
    pub fn finish(self) -> Result<PathBuf> {
        assert_eq!(self.done, self.count, "the pictures of the plan");
        let path = self.path;
        match self.sink {
            Sink::Grid { mut file, pictures, columns } => {
                let grid = pictures.grid(Some(columns))?;
                png::encode(&mut file, grid.shape, &grid.pixels).at(&path, "write")?;
                file.commit()?;
            }
            Sink::Scatter { mut file, points, beside } => {
                let plot = points.scatter(beside);
                png::encode(&mut file, plot.shape, &plot.pixels).at(&path, "write")?;
                file.commit()?;
            }
            Sink::Folder => {}
            Sink::Csv(file) => file.commit()?,
            Sink::Npz(zip) => zip.finish().map_err(io::Error::from).at(&path, "write")?.commit()?,
        }
        Ok(path)
    }
}

/// A new file.
///
/// Errors: one that is there and may not be replaced; the disk's.
pub fn create(path: &Path, overwrite: bool) -> Result<AtomicFile> {
    if path.exists() && !overwrite {
        return Err(occupied(path, "is there already"));
    }
    AtomicFile::create(path)
}

/// The folder, made if it is missing; that it can be written is tried.
fn open_folder(path: &Path, overwrite: bool) -> Result<()> {
    fs::create_dir_all(path).at(path, "make the folder")?;
    if fs::read_dir(path).at(path, "read")?.next().is_some() && !overwrite {
        return Err(occupied(path, "is a folder with files in it"));
    }
    AtomicFile::create(path.join("000000.png")).map(drop)
}

fn occupied(path: &Path, what: &str) -> Error {
    Error::config(format!(
        "{} {what}; name another with --out, or allow to replace it with --overwrite",
        path.display()
    ))
}

/// The archive up to where the bytes of the array begin. Pictures are stored as they are: compressed they would take
/// longer to write than many take to draw, and for photographs win little.
fn begin_npz(file: AtomicFile, plan: &Plan) -> io::Result<zip::ZipWriter<AtomicFile>> {
    let ImageShape { height, width, channels } = plan.shape;
    let pictures = [plan.count, height as u64, width as u64, channels as u64];
    let (shape, type_name, size) = match plan.shape {
        ImageShape::POINT => (&[plan.count, 2][..], "<f4", 4),
        _ => (&pictures[..], "|u1", 1),
    };
    // A zip's plain records end at 4 GiB.
    let large = plan.count.saturating_mul(size * plan.shape.len() as u64) > u64::from(u32::MAX / 2);
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(large);
    let mut zip = zip::ZipWriter::new(file);
    zip.start_file(npyz::npz::file_name_from_array_name("samples"), options)?;
    let header = npyz::WriteOptions::new_header_only();
    let dtype = npyz::DType::new_scalar(type_name.parse().expect("numpy's name of a type"));
    header.dtype(dtype).shape(shape).writer(&mut zip).write_header_only()?;
    Ok(zip)
}
