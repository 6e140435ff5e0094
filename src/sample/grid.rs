//! Pictures as bytes, and laid out in a grid.

use std::path::Path;

use super::png;
use crate::data::ImageShape;
use crate::data::picture::Picture;
use crate::error::{Error, Result};
use crate::fsutil::write_atomic;

/// Black pixels round every picture of a grid.
const PADDING: usize = 2;
/// The largest grid, in bytes: a gigabyte, some 18,000 x 18,000 pixels in colour.
const LARGEST: usize = 1 << 30;

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

    /// Adds pictures of the same shape.
    pub fn append(&mut self, other: &Pictures) {
        assert_eq!(self.shape, other.shape);
        self.pixels.extend_from_slice(&other.pixels);
    }

    pub fn clear(&mut self) {
        self.pixels.clear();
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

    /// Each picture's bytes, [H, W, C].
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u8> {
        self.pixels.chunks_exact(self.shape.len())
    }

    /// Lays the pictures out row by row in `columns` columns, or in a near-square grid, with 2 black pixels between
    /// and about them.
    ///
    /// Errors: those of [`grid_shape`].
    pub fn grid(&self, columns: Option<usize>) -> Result<Picture> {
        let columns = columns.unwrap_or_else(|| near_square(self.len()));
        let shape = grid_shape(self.shape, self.len(), columns)?;
        let mut pixels = vec![0; shape.len()];
        let row_len = self.shape.width * self.shape.channels;
        for (i, picture) in self.iter().enumerate() {
            let top = (i / columns) * (self.shape.height + PADDING) + PADDING;
            let left = (i % columns) * (self.shape.width + PADDING) + PADDING;
            for (y, row) in picture.chunks_exact(row_len).enumerate() {
                let start = ((top + y) * shape.width + left) * shape.channels;
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
        png::check(shape)?;
        write_atomic(path, |file| png::encode(file, shape, &pixels))
    }
}

/// The columns of a grid with about as many rows, never more.
pub fn near_square(count: usize) -> usize {
    count.isqrt() + usize::from(count.isqrt().pow(2) < count)
}

/// The shape of a grid of `count` pictures.
///
/// Errors: no pictures, no columns, more than a gigabyte.
pub fn grid_shape(picture: ImageShape, count: usize, columns: usize) -> Result<ImageShape> {
    if count == 0 || columns == 0 {
        return Err(Error::config("a grid needs at least one picture and one column"));
    }
    let side = |pictures: usize, length: usize| pictures.checked_mul(length + PADDING)?.checked_add(PADDING);
    let size = || {
        let height = side(count.div_ceil(columns), picture.height)?;
        let width = side(columns.min(count), picture.width)?;
        let bytes = height.checked_mul(width)?.checked_mul(picture.channels)?;
        (bytes <= LARGEST).then_some(ImageShape { height, width, channels: picture.channels })
    };
    size().ok_or_else(|| {
        Error::config(format!(
            "a grid of {count} pictures of {}x{} is too large; write them to a folder or as .npz, or draw fewer",
            picture.width, picture.height,
        ))
    })
}
