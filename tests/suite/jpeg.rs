//! What JPEG leaves of pictures, against Pillow (tests/fixtures/make_jpeg.py).

use std::fs::File;
use std::path::Path;

use ddgan::data::ImageShape;
use ddgan::data::picture::Picture;
use npyz::NpyFile;

/// An array of uint8 [H, W, C].
fn picture(archive: &mut zip::ZipArchive<File>, name: &str) -> Picture {
    let array = NpyFile::new(archive.by_name(&format!("{name}.npy")).unwrap()).unwrap();
    let &[height, width, channels] = array.shape() else { panic!("{name}: {:?}", array.shape()) };
    let shape = ImageShape { height: height as usize, width: width as usize, channels: channels as usize };
    Picture { shape, pixels: array.into_vec().unwrap() }
}

fn archive() -> zip::ZipArchive<File> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg.npz");
    zip::ZipArchive::new(File::open(path).unwrap()).unwrap()
}

#[test]
fn every_pixel_is_as_pillow_reads_what_it_saved() {
    let mut archive = archive();
    let names: Vec<String> =
        archive.file_names().filter_map(|name| name.unwrap().strip_suffix(".in.npy").map(str::to_owned)).collect();
    assert_eq!(names.len(), 16);
    for name in names {
        let before = picture(&mut archive, &format!("{name}.in"));
        let (got, want) = (before.through_jpeg(), picture(&mut archive, &format!("{name}.out")));
        let differ = got.pixels.iter().zip(&want.pixels).filter(|(a, b)| a != b).count();
        assert!(got == want, "{name}: {differ} of {} differ", want.pixels.len());
        assert!(before != want, "{name}: JPEG loses something");
    }
}

/// Why JPEG is not left to an encoder and a decoder: those of the crate `image` give other pixels than Pillow.
#[test]
fn the_image_crate_s_jpeg_is_another() {
    let mut archive = archive();
    for (name, colour, least_worst) in [("smooth", image::ColorType::Rgb8, 10), ("grey", image::ColorType::L8, 2)] {
        let Picture { shape, pixels } = picture(&mut archive, &format!("{name}.in"));
        let mut file = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 75);
        encoder.encode(&pixels, shape.width as u32, shape.height as u32, colour.into()).unwrap();
        let (got, want) = (Picture::decode(&file).unwrap(), picture(&mut archive, &format!("{name}.out")));
        let worst = got.pixels.iter().zip(&want.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst >= least_worst, "{name} differs by up to {worst} only: is it the same now?");
    }
}
