//! Picture files, read back.

use ddgan::Error;
use ddgan::data::ImageShape;
use ddgan::sample::Pictures;
use ddgan::sample::grid::unit_to_byte;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

const GREY: ImageShape = ImageShape { height: 2, width: 3, channels: 1 };

/// Pictures whose bytes are 1, 2, 3, ...
fn pictures(n: usize, shape: ImageShape) -> Pictures {
    let mut pictures = Pictures::new(shape);
    let images: Vec<f32> = (0..n * shape.len()).map(|i| (i + 1) as f32 / 127.5 - 1.0).collect();
    pictures.push(&images);
    pictures
}

/// Size, channels and pixels.
fn read_png(path: &Path) -> (u32, u32, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.bit_depth, png::BitDepth::Eight);
    (info.width, info.height, info.color_type.samples(), pixels)
}

#[test]
fn bytes_are_rounded_on_a_fixed_range() {
    let cases = [(-1.0, 0), (1.0, 255), (0.0, 128), (-2.0, 0), (7.0, 255), (-0.998, 0), (-0.996, 1), (f32::NAN, 0)];
    for (x, byte) in cases {
        assert_eq!(unit_to_byte(x), byte, "{x}");
    }
    for byte in 0..=255 {
        assert_eq!(unit_to_byte(ddgan::data::byte_to_unit(byte)), byte);
    }
}

#[test]
fn a_grey_grid_is_padded_and_near_square() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grid.png");
    pictures(3, GREY).save_grid(&path, None).unwrap();
    #[rustfmt::skip]
    let want = [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 1, 2, 3, 0, 0, 7, 8, 9, 0, 0,
        0, 0, 4, 5, 6, 0, 0, 10, 11, 12, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 16, 17, 18, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(read_png(&path), (12, 10, 1, want.to_vec()));
}

#[test]
fn columns_can_be_given() {
    let size = |n, columns| {
        let shape = pictures(n, GREY).grid(columns).unwrap().shape;
        (shape.width, shape.height)
    };
    assert_eq!(size(10, Some(5)), (5 * 5 + 2, 2 * 4 + 2));
    assert_eq!(size(10, Some(1)), (5 + 2, 10 * 4 + 2));
    assert_eq!(size(2, Some(9)), (2 * 5 + 2, 4 + 2));
    assert_eq!(size(16, None), (4 * 5 + 2, 4 * 4 + 2));
    assert_eq!(size(17, None), (5 * 5 + 2, 4 * 4 + 2));
    assert!(matches!(pictures(2, GREY).grid(Some(0)), Err(Error::Config(_))));
    assert!(matches!(pictures(0, GREY).grid(None), Err(Error::Config(_))));
}

#[test]
fn colour_pictures_are_written_one_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("made/here");
    let rgb = ImageShape { channels: 3, ..GREY };
    pictures(2, rgb).save_each(&folder, 41).unwrap();
    assert_eq!(read_png(&folder.join("000041.png")), (3, 2, 3, (1..=18).collect()));
    assert_eq!(read_png(&folder.join("000042.png")), (3, 2, 3, (19..=36).collect()));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);

    let two = ImageShape { channels: 2, ..GREY };
    assert!(matches!(pictures(1, two).save_grid(dir.path().join("x.png"), None), Err(Error::Config(_))));
}

#[test]
fn an_npz_holds_the_bytes_as_one_array() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.npz");
    let rgb = ImageShape { channels: 3, ..GREY };
    let pictures = pictures(5, rgb);
    pictures.save_npz(&path).unwrap();
    let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(archive.len(), 1);
    let array = npyz::NpyFile::new(archive.by_name("samples.npy").unwrap()).unwrap();
    assert_eq!(array.shape(), [5, 2, 3, 3]);
    assert_eq!(array.order(), npyz::Order::C);
    assert_eq!(array.dtype().descr(), "'|u1'");
    assert_eq!(array.into_vec::<u8>().unwrap(), pictures.pixels());
}
