//! Pictures of any size and kind, made alike.

mod decode;
mod jpeg;
mod resize;

use super::{ImageShape, byte_to_unit};
use crate::error::{Error, Result};

pub use resize::Filter;

/// A picture of bytes, [H, W, C]. What is decoded has pixels, of 1 channel (grey) or 3 (red, green, blue).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub shape: ImageShape,
    pub pixels: Vec<u8>,
}

/// What pictures of any size are made into: squares of one size, all grey or all in colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Height and width; the first picture's shorter side if not given.
    pub size: Option<usize>,
    /// 1 or 3; the first picture's if not given.
    pub channels: Option<usize>,
    pub filter: Filter,
}

impl Fit {
    /// The shape that all pictures of a set get.
    ///
    /// Errors: a size of 0, channels other than 1 and 3.
    pub fn shape(self, first: ImageShape) -> Result<ImageShape> {
        let size = self.size.unwrap_or(first.height.min(first.width));
        let channels = self.channels.unwrap_or(first.channels);
        if size == 0 {
            return Err(Error::config("image_size is 0, expected at least 1"));
        }
        if ![1, 3].contains(&channels) {
            return Err(Error::config(format!("num_channels is {channels}; pictures have 1 (grey) or 3 (colour)")));
        }
        Ok(ImageShape { height: size, width: size, channels })
    }
}

impl Picture {
    /// Writes the picture as [H, W, C] in [-1, 1] of a square shape: grey or in colour first, then resized, then cut.
    pub fn write(self, shape: ImageShape, filter: Filter, out: &mut [f32]) {
        let picture = self.with_channels(shape.channels).fit(shape.height, filter);
        assert_eq!(picture.shape, shape);
        out.iter_mut().zip(&picture.pixels).for_each(|(x, &byte)| *x = byte_to_unit(byte));
    }
}
