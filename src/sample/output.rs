//! Where pictures go while they are drawn: a grid, a file each, or one array for other programs. What is written as it
//! comes needs no memory for what was before; all of it has been opened before the first picture is drawn.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use npyz::WriterBuilder;
use rayon::prelude::*;
use zip::write::SimpleFileOptions;

use super::grid::{Pictures, grid_shape};
use super::png;
use crate::data::ImageShape;
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
}

impl Output {
    /// The name decides the form: `NAME.png` is one picture with all of them in a grid, `NAME.npz` one array `samples`
    /// for numpy, uint8 [N, H, W, C], and any other name a folder with a PNG a picture.
    ///
    /// Errors: what is there already and may not be replaced, a folder with files in it, what cannot be written, more
    /// or other pictures than the form takes.
    pub fn open(path: &Path, plan: &Plan) -> Result<Output> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let sink = match extension.as_str() {
            "png" => {
                png::check(grid_shape(plan.shape, plan.count as usize, plan.columns)?)?;
                let file = create(path, plan.overwrite)?;
                Sink::Grid { file, pictures: Pictures::new(plan.shape), columns: plan.columns }
            }
            "npz" => Sink::Npz(Box::new(begin_npz(create(path, plan.overwrite)?, plan).at(path, "write")?)),
            _ => {
                png::check(plan.shape)?;
                open_folder(path, plan.overwrite)?;
                Sink::Folder
            }
        };
        Ok(Output { path: path.to_path_buf(), sink, done: 0, count: plan.count })
    }

    /// Adds pictures. In a folder the one with number 7 is `000007.png`.
    pub fn push(&mut self, pictures: &Pictures, numbers: &[u64]) -> Result<()> {
        assert_eq!(pictures.len(), numbers.len());
        self.done += numbers.len() as u64;
        match &mut self.sink {
            Sink::Grid { pictures: all, .. } => {
                all.append(pictures);
                Ok(())
            }
            Sink::Folder => {
                let shape = pictures.shape();
                let numbered: Vec<_> = pictures.iter().zip(numbers).collect();
                numbered.into_par_iter().try_for_each(|(picture, number)| {
                    let path = self.path.join(format!("{number:06}.png"));
                    let mut file = AtomicFile::create(&path)?;
                    png::encode(&mut file, shape, picture).at(&path, "write")?;
                    file.rename()
                })
            }
            Sink::Npz(zip) => zip.write_all(pictures.pixels()).at(&self.path, "write"),
        }
    }

    /// Adds pictures with the numbers that follow on those before.
    pub fn push_next(&mut self, pictures: &Pictures) -> Result<()> {
        let numbers: Vec<u64> = (self.done..).take(pictures.len()).collect();
        self.push(pictures, &numbers)
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
            Sink::Folder => {}
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
    let shape = [plan.count, height as u64, width as u64, channels as u64];
    // A zip's plain records end at 4 GiB.
    let large = plan.count.saturating_mul(plan.shape.len() as u64) > u64::from(u32::MAX / 2);
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(large);
    let mut zip = zip::ZipWriter::new(file);
    zip.start_file(npyz::npz::file_name_from_array_name("samples"), options)?;
    let header = npyz::WriteOptions::new_header_only();
    let bytes = npyz::DType::new_scalar("|u1".parse().expect("numpy's name of u8"));
    header.dtype(bytes).shape(&shape).writer(&mut zip).write_header_only()?;
    Ok(zip)
}
