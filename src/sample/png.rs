//! PNG files.

use std::io::{self, Write};

use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::fsutil::AtomicFile;

/// Errors: pictures that PNG has no form for: neither 1 nor 3 channels, a side beyond 2^31 - 1.
pub(super) fn check(shape: ImageShape) -> Result<()> {
    let ImageShape { height, width, channels } = shape;
    if channels != 1 && channels != 3 {
        return Err(Error::config(format!(
            "pictures of {channels} channels cannot be written as PNG, which has 1 or 3; write them as .npz"
        )));
    }
    if height.max(width) > i32::MAX as usize {
        return Err(Error::config(format!("a picture of {width}x{height} is too large for PNG")));
    }
    Ok(())
}

/// Writes bytes [H, W, C] as a grey (C = 1) or RGB (C = 3) PNG; the shape has passed [`check`].
pub(super) fn encode(file: &mut AtomicFile, shape: ImageShape, pixels: &[u8]) -> io::Result<()> {
    let mut encoder = png::Encoder::new(&mut *file, shape.width as u32, shape.height as u32);
    encoder.set_color(if shape.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    file.flush()
}
