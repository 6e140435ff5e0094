//! Picture files to bytes. Kinds of pixels are converted as Pillow's `convert("RGB")` and `convert("L")` do.

use super::Picture;
use crate::data::ImageShape;
use image::error::{ImageError, LimitErrorKind};
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// The largest side, and the most memory that decoding may take: 67 million pixels of 4 bytes.
const MAX_SIDE: u32 = 1 << 15;
const MAX_MEMORY: u64 = 256 << 20;

impl Picture {
    /// Decodes a png, jpeg, webp or bmp file, told apart by their content. An alpha channel is left out, of 16 bits
    /// the upper 8 remain.
    ///
    /// Errors (without the file's name): not such a picture, cut short or damaged, without pixels, too large.
    pub fn decode(file: &[u8]) -> Result<Picture, String> {
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
        limits.max_alloc = Some(MAX_MEMORY);
        let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|e| e.to_string())?;
        let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else {
            return Err(format!("is no picture that can be read: expected png, jpeg, webp or bmp, {}", start(file)));
        };
        reader.limits(limits);
        let decoded = reader.decode().map_err(|error| match error {
            ImageError::Limits(e)
                if matches!(e.kind(), LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory) =>
            {
                format!("is too large a picture: at most {MAX_SIDE} pixels a side and {MAX_MEMORY} bytes are read")
            }
            error => format!("is a damaged picture ({error})"),
        })?;
        if format == ImageFormat::Jpeg && !jpeg_has_end(file) {
            return Err("is cut short".into());
        }
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        if width == 0 || height == 0 {
            return Err(format!("is a picture of {height}x{width} pixels"));
        }
        let grey = !decoded.color().has_color();
        let shape = ImageShape { height, width, channels: if grey { 1 } else { 3 } };
        Ok(Picture { shape, pixels: bytes(decoded) })
    }

    /// Grey (1) or in colour (3), whatever it was.
    pub fn with_channels(self, channels: usize) -> Picture {
        let pixels = match (self.shape.channels, channels) {
            (1, 3) => self.pixels.iter().flat_map(|&v| [v; 3]).collect(),
            (3, 1) => self.pixels.as_chunks().0.iter().map(luma).collect(),
            (have, want) => {
                assert_eq!(have, want, "a picture has 1 channel or 3");
                self.pixels
            }
        };
        Picture { shape: ImageShape { channels, ..self.shape }, pixels }
    }
}

/// Whether a jpeg, which could be decoded, has its end. The decoder makes grey of what is missing.
fn jpeg_has_end(file: &[u8]) -> bool {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let alone = |marker: u8| matches!(marker, 0x01 | 0xd0..=0xd8);
    if file.ends_with(&[0xff, END]) {
        return true;
    }
    // Something may follow the end, so the markers are followed. Most have a length.
    let mut at = 0;
    while let Some(&[0xff, marker]) = file.get(at..at + 2) {
        at += match (marker, file.get(at + 2..at + 4)) {
            (END, _) => return true,
            (0xff, _) => 1,
            (marker, _) if alone(marker) => 2,
            (_, Some(&[high, low])) => 2 + usize::from(u16::from_be_bytes([high, low])),
            _ => return false,
        };
        if marker == SCAN {
            // Its data end at a marker that is neither an escaped 0xff nor a restart.
            let data = file.get(at..).unwrap_or_default().windows(2);
            at += data.take_while(|&pair| pair[0] != 0xff || pair[1] == 0 || alone(pair[1])).count();
        }
    }
    false
}

/// The first bytes of what is no picture, for people to recognise.
fn start(file: &[u8]) -> String {
    match file.len() {
        0 => "and the file is empty".into(),
        n => format!("and it starts with \"{}\"", file[..n.min(12)].escape_ascii()),
    }
}

/// Grey or red, green and blue, 8 bits each.
fn bytes(picture: DynamicImage) -> Vec<u8> {
    fn high<const N: usize>(values: &[u16], keep: usize) -> Vec<u8> {
        values.as_chunks::<N>().0.iter().flat_map(|pixel| pixel[..keep].iter().map(|v| (v >> 8) as u8)).collect()
    }
    match picture {
        DynamicImage::ImageLuma8(picture) => picture.into_raw(),
        DynamicImage::ImageLumaA8(picture) => picture.as_raw().iter().copied().step_by(2).collect(),
        DynamicImage::ImageRgb8(picture) => picture.into_raw(),
        DynamicImage::ImageRgba8(picture) => {
            picture.as_raw().as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect()
        }
        DynamicImage::ImageLuma16(picture) => high::<1>(picture.as_raw(), 1),
        DynamicImage::ImageLumaA16(picture) => high::<2>(picture.as_raw(), 1),
        DynamicImage::ImageRgb16(picture) => high::<3>(picture.as_raw(), 3),
        DynamicImage::ImageRgba16(picture) => high::<4>(picture.as_raw(), 3),
        other => other.into_rgb8().into_raw(),
    }
}

/// 0.299 R + 0.587 G + 0.114 B (ITU-R 601) in 16 bits of fraction.
fn luma(&[r, g, b]: &[u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}
