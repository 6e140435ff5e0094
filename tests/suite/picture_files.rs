//! Pictures of every kind against what Pillow makes of them (tests/fixtures/make_pictures.py), and folders and zip
//! files of them.

use super::program::{TINY, fail, png_size, succeed};
use ddgan::data::picture::{Filter, Fit, Picture};
use ddgan::data::{self, DataSpec, Dataset, Folder, ImageShape};
use ddgan::sample::grid::unit_to_byte;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures")
}

fn fit(picture: Picture, channels: usize, size: usize, filter: Filter) -> Vec<u8> {
    let shape = ImageShape { height: size, width: size, channels };
    let mut out = vec![f32::NAN; shape.len()];
    picture.write(shape, filter, &mut out);
    out.into_iter().map(unit_to_byte).collect()
}

/// What may differ by how much, and why; everything else is equal to the byte.
fn tolerance(file: &str) -> u8 {
    match file {
        // The inverse cosine transform and the upsampling of colours are not specified to the bit.
        "smooth.jpg" => 4,
        "smooth_grey.jpg" | "smooth_cmyk.jpg" => 1,
        _ => 0,
    }
}

#[test]
fn pictures_are_what_pillow_makes_of_them() {
    let mut archive = zip::ZipArchive::new(File::open(fixtures().join("expected.npz")).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for entry in 0..archive.len() {
        let file = archive.by_index(entry).unwrap();
        let name = file.name().unwrap().trim_end_matches(".npy").to_string();
        let array = npyz::NpyFile::new(file).unwrap();
        let want: Vec<u8> = array.into_vec().unwrap();
        let [file, channels, size, filter] = name.split(' ').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let picture = Picture::decode(&fs::read(fixtures().join(file)).unwrap()).unwrap();
        let filter = serde_json::from_value(filter.into()).unwrap();
        let got = fit(picture, channels.parse().unwrap(), size.parse().unwrap(), filter);
        assert_eq!(got.len(), want.len(), "{name}");
        let worst = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        if worst > tolerance(file) {
            wrong.push(format!("{name}: differs by up to {worst}"));
        }
    }
    assert!(archive.len() > 50 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A png file with any bytes for pixels.
fn png(width: u32, height: u32, color: png::ColorType, depth: png::BitDepth, pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    file
}

/// One pixel.
fn dot(rgb: [u8; 3]) -> Vec<u8> {
    png(1, 1, png::ColorType::Rgb, png::BitDepth::Eight, &rgb)
}

#[test]
fn of_16_bits_the_upper_ones_remain() {
    use png::{BitDepth::Sixteen, ColorType};
    for (color, samples, channels) in [
        (ColorType::Grayscale, 1, 1),
        (ColorType::GrayscaleAlpha, 2, 1),
        (ColorType::Rgb, 3, 3),
        (ColorType::Rgba, 4, 3),
    ] {
        let pixels: Vec<u8> = (0..2 * samples).flat_map(|i| [30 * i as u8 + 1, 0xff]).collect();
        let picture = Picture::decode(&png(2, 1, color, Sixteen, &pixels)).unwrap();
        let want: Vec<u8> = (0..2).flat_map(|x| (0..channels).map(move |c| 30 * (x * samples + c) as u8 + 1)).collect();
        assert_eq!((picture.shape.channels, picture.pixels), (channels, want), "{color:?}");
    }
}

#[test]
fn what_is_no_picture_is_said() {
    let error = |bytes: &[u8]| Picture::decode(bytes).unwrap_err();
    assert!(error(b"").contains("the file is empty"));
    assert!(error(b"<!DOCTYPE html>").contains("starts with \"<!DOCTYPE ht\""));
    assert!(error(b"GIF89a\x01\0\x01\0").contains("expected png, jpeg, webp or bmp"));
    for file in ["colour.png", "colour.bmp", "colour.webp", "smooth.jpg", "palette.png"] {
        let bytes = fs::read(fixtures().join(file)).unwrap();
        for part in [2, 3, 10] {
            let cut = &bytes[..bytes.len() - bytes.len() / part];
            assert!(Picture::decode(cut).is_err(), "a {part}th of {file} is missing");
        }
    }
}

#[test]
fn something_may_follow_a_picture() {
    for file in ["colour.png", "smooth.jpg", "smooth_cmyk.jpg"] {
        let bytes = fs::read(fixtures().join(file)).unwrap();
        let longer = [&bytes[..], b"camera \xff notes"].concat();
        assert_eq!(Picture::decode(&longer).unwrap(), Picture::decode(&bytes).unwrap(), "{file}");
        assert!(Picture::decode(&[&bytes[..bytes.len() - 2], b"??"].concat()).is_err() || file == "colour.png");
    }
}

/// A header may claim any size; nothing of it is reserved.
#[test]
fn decompression_bombs_are_refused() {
    let mut bomb = dot([0; 3]);
    for (width, height) in [(u32::MAX / 2, 1), (1 << 16, 1 << 16), (30_000, 30_000), (0, 1)] {
        bomb[16..20].copy_from_slice(&u32::to_be_bytes(width));
        bomb[20..24].copy_from_slice(&u32::to_be_bytes(height));
        let crc = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        let text = Picture::decode(&bomb).unwrap_err();
        assert!(text.contains("too large") || width == 0, "{width}x{height}: {text}");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

const SMALL: Fit = Fit { size: Some(4), channels: Some(3), filter: Filter::Bilinear };

fn first_byte(data: &dyn Dataset, index: usize) -> u8 {
    let mut out = vec![f32::NAN; data.shape().len()];
    data.image(index, &mut out).unwrap();
    unit_to_byte(out[0])
}

/// Names and what their first byte is; the order of the names is not that of the values.
const TREE: [(&str, u8); 5] = [("b/2.png", 40), ("a.PNG", 10), ("b/10.png", 30), ("b-c/x.png", 20), ("z.jpeg", 50)];

fn check_tree(data: &Folder) {
    assert_eq!((data.len(), data.shape().len(), data.flip_by_default()), (5, 48, true));
    let values: Vec<u8> = (0..5).map(|i| first_byte(data, i)).collect();
    assert_eq!(values, [10, 20, 30, 40, 50]);
}

/// Writes the files of a zip, uncompressed as StyleGAN's; `None` for a folder.
fn write_zip(path: &Path, files: &[(&str, Option<&[u8]>)]) {
    let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in files {
        match content {
            Some(content) => {
                archive.start_file(*name, options).unwrap();
                archive.write_all(content).unwrap();
            }
            None => archive.add_directory(*name, options).unwrap(),
        }
    }
    archive.finish().unwrap();
}

#[test]
fn a_folder_and_its_folders_are_read_in_the_order_of_the_names() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value) in TREE {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // The name's end is not the format: the content decides.
        fs::write(path, dot([value; 3])).unwrap();
    }
    for ignored in ["notes.txt", ".hidden.png", "b/._2.png"] {
        fs::write(dir.path().join(ignored), "no picture").unwrap();
    }
    check_tree(&Folder::open(dir.path(), SMALL).unwrap());
    // Links that lead back up are not followed for ever, and no picture comes twice.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(dir.path(), dir.path().join("b/up")).unwrap();
        check_tree(&Folder::open(dir.path(), SMALL).unwrap());
    }
    // By its name, by --data-dir, and with the first picture's size.
    let path = dir.path().to_str().unwrap().to_string();
    let open = |name: &str, data_dir| data::open(&DataSpec { name: name.into(), data_dir, ..Default::default() });
    for data in [open(&path, None), open("folder", Some(dir.path().to_path_buf()))] {
        let data = data.unwrap();
        assert_eq!((data.name(), data.len(), data.shape().len(), data.origin()), ("folder", 5, 3, path.clone()));
    }
    assert!(open("folder", None).err().unwrap().to_string().contains("--data-dir"));
}

#[test]
fn a_zip_is_read_like_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.zip");
    let dots = TREE.map(|(name, value)| (name, dot([value; 3])));
    let mut files: Vec<_> = dots.iter().map(|(name, dot)| (*name, Some(&dot[..]))).collect();
    files.extend([
        ("b/", None),
        ("README", Some(&b"text"[..])),
        ("__MACOSX/b/._2.png", Some(b"x")),
        (".DS_Store", Some(b"x")),
    ]);
    write_zip(&path, &files);
    let data = Folder::open(&path, SMALL).unwrap();
    check_tree(&data);
    assert_eq!((data.classes(), data.label(3)), (1, 0));
    // Several threads at once.
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| check_tree(&data)))));
}

#[test]
fn labels_come_from_dataset_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.zip");
    let open = |json: &str| {
        let dots = [dot([1; 3]), dot([2; 3])];
        let [a, b] = ["00000/img00000000.png", "00000/img00000001.png"];
        write_zip(&path, &[(b, Some(&dots[1])), (a, Some(&dots[0])), ("dataset.json", Some(json.as_bytes()))]);
        let data = Folder::open(&path, SMALL)?;
        Ok::<_, ddgan::Error>((data.classes(), data.label(0), data.label(1)))
    };
    let labels = r#"{"labels": [["00000/img00000001.png", 6], ["00000/img00000000.png", 2]]}"#;
    assert_eq!(open(labels).unwrap(), (7, 2, 6));
    let vectors = r#"{"labels": [["00000/img00000001.png", [0.5]], ["00000/img00000000.png", [1]]]}"#;
    for none in [r#"{"labels": null}"#, "{}", r#"{"labels": []}"#, vectors] {
        assert_eq!(open(none).unwrap(), (1, 0, 0));
    }
    for (json, part) in [
        (r#"{"labels": [["00000/img00000001.png", 6]]}"#, "no label for 00000/img00000000.png"),
        (&labels.replace("6", "-6"), "label -6"),
        (&labels.replace("6", "4294967295"), "label 4294967295"),
        ("{", "not the labels"),
    ] {
        let text = open(json).unwrap_err().to_string();
        assert!(text.contains(part) && text.contains("dataset.json"), "{text}");
    }
}

#[test]
fn errors_name_the_picture() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    let open = |path: &Path| Folder::open(path, SMALL).err().unwrap().to_string();
    assert!(open(&folder).contains("holds no pictures (png, jpg, jpeg, webp, bmp)"));
    fs::write(folder.join("table.csv"), "1,2").unwrap();
    assert!(open(&folder).contains("there is table.csv"));
    assert!(open(&folder.join("typo")).contains("typo"));
    fs::write(folder.join("a.png"), "text").unwrap();
    assert!(open(&folder).contains("a.png: is no picture") && open(&folder).contains("put a whole picture"));
    let whole = dot([7; 3]);
    fs::write(folder.join("a.png"), &whole).unwrap();
    fs::write(folder.join("b.png"), &whole[..50]).unwrap();
    let data = Folder::open(&folder, SMALL).unwrap();
    let error = |data: &Folder, index| data.image(index, &mut [0.0; 48]).unwrap_err().to_string();
    assert!(error(&data, 1).contains("b.png: is a damaged picture"), "{}", error(&data, 1));
    fs::remove_file(folder.join("a.png")).unwrap();
    assert!(error(&data, 0).contains("a.png: cannot open"));

    let path = dir.path().join("set.zip");
    fs::write(&path, "no zip").unwrap();
    assert!(open(&path).contains("set.zip: is neither a folder nor a whole zip file"));
    write_zip(&path, &[("a.png", Some(&whole)), ("../../b.png", Some(b"text"))]);
    assert!(open(&path).contains("set.zip: ../../b.png: is no picture"), "{}", open(&path));
    write_zip(&path, &[("a.png", Some(&whole)), ("b\n.png", Some(&whole))]);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).rposition(|window| window == b"IDAT").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(error(&Folder::open(&path, SMALL).unwrap(), 1).contains(r"b\n.png: is damaged"), "the checksum");
    for end in [bytes.len() - 1, bytes.len() / 2] {
        fs::write(&path, &bytes[..end]).unwrap();
        assert!(open(&path).contains("set.zip"));
    }

    let channels = Some(2);
    assert!(Folder::open(&folder, Fit { channels, ..SMALL }).is_err());
}

/// 300 MiB of zeros in 300 KB.
#[test]
fn a_zip_bomb_is_read_no_further_than_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.zip");
    let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
    archive.start_file("a.png", SimpleFileOptions::default()).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..300).for_each(|_| archive.write_all(&zeros).unwrap());
    archive.finish().unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 1 << 20);
    let text = Folder::open(&path, SMALL).err().unwrap().to_string();
    assert!(text.contains("a.png: is larger than the 256 MiB"), "{text}");
}

#[test]
fn a_training_takes_pictures_of_any_kind() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("faces");
    fs::create_dir(&folder).unwrap();
    for file in ["colour.png", "tall.png", "grey_alpha.png", "palette.png", "smooth.jpg", "smooth.webp"] {
        fs::copy(fixtures().join(file), folder.join(file)).unwrap();
    }
    let train = format!("train {TINY} --dataset faces --image-size 16 --num-channels 3 --resize-filter lanczos");
    succeed(dir.path(), &format!("{train} --max-steps 1"));
    assert_eq!(png_size(&dir.path().join("runs/00000-faces/samples.png")), [38, 38]);
    fs::write(folder.join("z.png"), "text").unwrap();
    fail(dir.path(), &format!("{train} --max-steps 9"), &["faces/z.png", "is no picture"]);
}
