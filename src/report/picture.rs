//! Pictures inside a page.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};

use super::html::escape;
use crate::data::picture::Picture;
use crate::error::{Error, IoContext, Result};

/// The largest file that goes into a page as it is, and the longest side of those that are made smaller.
const LARGEST_FILE: usize = 512 << 10;
const LONGEST_SIDE: u32 = 1024;
const JPEG_QUALITY: u8 = 90;
/// Pictures with fewer pixels a side are shown enlarged, with their pixels as squares.
const SMALL: u32 = 600;

/// A picture with what it weighs in a page.
pub struct Embedded {
    url: String,
    width: u32,
    height: u32,
}

impl Embedded {
    /// A PNG that is not large as it is, any other picture as a JPEG of at most 1024 pixels a side.
    ///
    /// Errors: no picture; the disk's.
    pub fn read(path: &Path) -> Result<Embedded> {
        let (bytes, pixels) = read(path)?;
        let is_png = bytes.starts_with(b"\x89PNG");
        if is_png && bytes.len() <= LARGEST_FILE {
            return Ok(Embedded::new("png", &bytes, &pixels));
        }
        let longest = pixels.width().max(pixels.height());
        let scaled = |side: u32| (side * LONGEST_SIDE / longest).max(1);
        let pixels = match longest > LONGEST_SIDE {
            true => resize(&pixels, scaled(pixels.width()), scaled(pixels.height()), FilterType::CatmullRom),
            false => pixels,
        };
        let mut bytes = Vec::new();
        let encoded = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&pixels);
        encoded.map_err(|e| Error::format(path, format!("cannot be made a JPEG: {e}")))?;
        Ok(Embedded::new("jpeg", &bytes, &pixels))
    }

    /// Pixels as a PNG.
    pub fn png(pixels: &RgbImage) -> Embedded {
        Embedded::new("png", &png(pixels), pixels)
    }

    fn new(kind: &str, bytes: &[u8], pixels: &RgbImage) -> Embedded {
        let url = format!("data:image/{kind};base64,{}", STANDARD.encode(bytes));
        Embedded { url, width: pixels.width(), height: pixels.height() }
    }

    pub fn html(&self, alt: &str) -> String {
        let Embedded { url, width, height } = self;
        let class = if width.max(height) < &SMALL { " class=\"small\"" } else { "" };
        format!("<img{class} src=\"{url}\" width=\"{width}\" height=\"{height}\" alt=\"{}\">", escape(alt))
    }
}

/// A file and the pixels in it.
///
/// Errors: no picture; the disk's.
pub fn read(path: &Path) -> Result<(Vec<u8>, RgbImage)> {
    let bytes = fs::read(path).at(path, "read")?;
    let Picture { shape, pixels } = Picture::decode(&bytes).map_err(|e| Error::format(path, e))?.with_channels(3);
    let pixels = RgbImage::from_raw(shape.width as u32, shape.height as u32, pixels).expect("three bytes a pixel");
    Ok((bytes, pixels))
}

/// The bytes of a PNG.
pub fn png(pixels: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, ImageFormat::Png).expect("three bytes a pixel are a PNG");
    bytes.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_made_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, pixels: &RgbImage| {
            let path = dir.path().join(name);
            fs::write(&path, png(pixels)).unwrap();
            path
        };
        let flat = Embedded::read(&at("flat.png", &RgbImage::new(30, 20))).unwrap();
        assert!(flat.html("\"a\"").contains("width=\"30\" height=\"20\" alt=\"&quot;a&quot;\""));
        assert!(flat.url.starts_with("data:image/png;base64,iVBORw0KGgo"), "{}", flat.url);
        // Pixels that no PNG makes small.
        let noise = RgbImage::from_fn(1200, 600, |x, y| {
            let bits = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
            image::Rgb([(bits >> 24) as u8, (bits >> 16) as u8, (bits >> 8) as u8])
        });
        let large = Embedded::read(&at("noise.png", &noise)).unwrap();
        assert!(large.url.starts_with("data:image/jpeg;base64,/9j/"), "{}", &large.url[..40]);
        assert_eq!([large.width, large.height], [1024, 512]);
        fs::write(dir.path().join("cut.png"), &png(&noise)[..1000]).unwrap();
        assert!(Embedded::read(&dir.path().join("cut.png")).is_err());
    }
}
