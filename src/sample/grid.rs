//! Pictures as bytes, and the files they are written to: a grid, one file each, or one array for other programs.

use crate::data::ImageShape;
use crate::error::{Error, IoContext, Result};
use crate::fsutil::write_atomic;
use npyz::WriterBuilder;
use std::fs;
use std::io::BufWriter;
use std::path::Path;
use zip::write::SimpleFileOptions;

/// Black pixels round every picture of a grid.
const PADDING: usize = 2;

/// Pictures of one shape as bytes, [N, H, W, C].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    shape: ImageShape,
    pixels: Vec<u8>,
}

/// [-1, 1] to 0 ..= 255, the same for every picture: round((x + 1) / 2 * 255), clamped. NaN becomes 0.
#[inline]
pub fn unit_to_byte(x: f32) -> u8 {
    // `as` clamps.
    ((x + 1.0) * 127.5).round() as u8
}

impl Pictures {
    pub fn new(shape: ImageShape) -> Pictures {
        Pictures { shape, pixels: Vec::new() }
    }

    /// Adds pictures, [N, H, W, C] in [-1, 1]; what lies outside is clamped.
    pub fn push(&mut self, images: &[f32]) {
        assert!(images.len().is_multiple_of(self.shape.len()), "not a whole number of pictures");
        self.pixels.extend(images.iter().map(|&x| unit_to_byte(x)));
    }

    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    pub fn len(&self) -> usize {
        self.pixels.len() / self.shape.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// [N, H, W, C]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Lays the pictures out row by row in `columns` columns, or in a near-square grid, with 2 black pixels between
    /// and about them.
    ///
    /// Errors: 0 columns.
    pub fn grid(&self, columns: Option<usize>) -> Result<Picture> {
        let n = self.len();
        let columns = columns.unwrap_or_else(|| n.isqrt() + usize::from(n.isqrt().pow(2) < n));
        if columns == 0 {
            return Err(Error::config("a grid needs at least one picture and one column"));
        }
        let ImageShape { height, width, channels } = self.shape;
        let columns = columns.min(n.max(1));
        let shape = ImageShape {
            height: n.div_ceil(columns) * (height + PADDING) + PADDING,
            width: columns * (width + PADDING) + PADDING,
            channels,
        };
        let mut pixels = vec![0; shape.len()];
        for (i, picture) in self.pixels.chunks_exact(self.shape.len()).enumerate() {
            let (top, left) =
                ((i / columns) * (height + PADDING) + PADDING, (i % columns) * (width + PADDING) + PADDING);
            for (y, row) in picture.chunks_exact(width * channels).enumerate() {
                let start = ((top + y) * shape.width + left) * channels;
                pixels[start..start + row.len()].copy_from_slice(row);
            }
        }
        Ok(Picture { shape, pixels })
    }

    /// Writes [`Pictures::grid`] as PNG.
    ///
    /// Errors: neither 1 nor 3 channels; the disk's.
    pub fn save_grid(&self, path: impl AsRef<Path>, columns: Option<usize>) -> Result<()> {
        let Picture { shape, pixels } = self.grid(columns)?;
        save_png(path.as_ref(), shape, &pixels)
    }

    /// Writes each picture to `folder`, which is made if it is missing, as `000000.png`, `000001.png`, ...; the first
    /// one gets number `first`.
    ///
    /// Errors: neither 1 nor 3 channels; the disk's.
    pub fn save_each(&self, folder: impl AsRef<Path>, first: usize) -> Result<()> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).at(folder, "make the folder")?;
        for (number, picture) in (first..).zip(self.pixels.chunks_exact(self.shape.len())) {
            save_png(&folder.join(format!("{number:06}.png")), self.shape, picture)?;
        }
        Ok(())
    }

    /// Writes one array `samples`, uint8 [N, H, W, C], as numpy's `.npz`: `numpy.load(path)["samples"]`.
    pub fn save_npz(&self, path: impl AsRef<Path>) -> Result<()> {
        let ImageShape { height, width, channels } = self.shape;
        let shape = [self.len(), height, width, channels].map(|n| n as u64);
        write_atomic(path, |file| {
            let mut zip = zip::ZipWriter::new(file);
            // zip's plain records end at 4 GiB.
            let options = SimpleFileOptions::default().large_file(self.pixels.len() > u32::MAX as usize / 2);
            zip.start_file(npyz::npz::file_name_from_array_name("samples"), options)?;
            // npyz writes number by number.
            let array = BufWriter::with_capacity(1 << 16, &mut zip);
            let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(array).begin_nd()?;
            array.extend(self.pixels.iter().copied())?;
            array.finish()?;
            zip.finish()?;
            Ok(())
        })
    }
}

/// One picture as bytes, [H, W, C].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub shape: ImageShape,
    pub pixels: Vec<u8>,
}

/// Writes bytes [H, W, C] as a grey (C = 1) or RGB (C = 3) PNG.
fn save_png(path: &Path, shape: ImageShape, pixels: &[u8]) -> Result<()> {
    let color = match shape.channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        n => return Err(Error::config(format!("pictures of {n} channels cannot be written as PNG; 1 and 3 can"))),
    };
    let (Ok(width), Ok(height)) = (u32::try_from(shape.width), u32::try_from(shape.height)) else {
        return Err(Error::config("the picture is too large for PNG"));
    };
    write_atomic(path, |file| {
        let mut encoder = png::Encoder::new(file, width, height);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels)?;
        Ok(writer.finish()?)
    })
}
