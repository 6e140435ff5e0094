//! FID's Inception-v3 against PyTorch (tests/fixtures/make_inception.py), its file, and `ddgan eval --inception`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ddgan::checkpoint::published::{from_published, published_shape};
use ddgan::checkpoint::safetensors;
use ddgan::data::{ImageShape, byte_to_unit};
use ddgan::eval::{Extractor, SavedInception};
use ddgan::models::Inception;
use ddgan::tensor::{Device, Tensor};
use npyz::NpyFile;
use serde_json::Value;
use tempfile::TempDir;

use super::program::{fail, succeed};

/// The formulas of make_inception.py.
fn uniform(count: usize, name: &str) -> impl Iterator<Item = f64> {
    let seed = u64::from(crc32fast::hash(name.as_bytes())).wrapping_mul(0xD1B5_4A32_D192_ED03);
    (0..count as u64).map(move |i| {
        let mut h = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed);
        h = (h ^ (h >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        h = (h ^ (h >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((h ^ (h >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    })
}

fn draw(name: &str, shape: &[usize]) -> Tensor {
    let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
    let value = |u: f64| match shape.len() {
        2.. => (2.0 * u - 1.0) * bound,
        _ if name.ends_with("bn.weight") || name.ends_with("running_var") => 0.5 + u,
        _ => 0.2 * (u - 0.5),
    };
    let values: Vec<f32> = uniform(shape.iter().product(), name).map(|u| value(u) as f32).collect();
    Tensor::from_f32(&values, shape)
}

/// Every parameter but those of a name that is left out, as a checkpoint has it.
fn write(path: &Path, but: &str) {
    let outline = Inception::outline();
    let drawn = outline.iter().filter(|param| param.name() != but).map(|param| {
        let name = param.name();
        (name.to_owned(), from_published(name, &draw(name, &published_shape(name, param.shape()))))
    });
    safetensors::write(path, ("format", "pt".into()), &drawn.collect::<Vec<_>>()).unwrap();
}

/// A folder with the network's file, and some pictures.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("inception.safetensors"), "");
    fs::create_dir(dir.path().join("pictures")).unwrap();
    for i in 0..4_u8 {
        let pixel = |x: u32, y: u32| image::Luma([(x * 31 + y * u32::from(7 * i + 3)) as u8]);
        image::GrayImage::from_fn(32, 32, pixel).save(dir.path().join(format!("pictures/{i}.png"))).unwrap();
    }
    dir
});

fn network() -> SavedInception {
    SavedInception::open(&FOLDER.path().join("inception.safetensors"), &Device::Cpu).unwrap()
}

fn golden(name: &str) -> Vec<f32> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/inception.npz");
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let file = archive.by_name(&format!("{name}.npy")).unwrap();
    NpyFile::new(file).unwrap().into_vec().unwrap()
}

#[track_caller]
fn close(name: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}");
    let most = want.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    assert!(worst <= 1e-4 * most, "{name}: differs by {worst:e}, the largest is {most}");
}

#[test]
fn features_and_classes_are_those_of_pytorch() {
    let network = network();
    for (name, [height, width, channels]) in [("small", [29, 37, 3]), ("large", [310, 305, 3]), ("grey", [28, 28, 1])] {
        let shape = ImageShape { height, width, channels };
        let bytes = uniform(shape.len(), name).map(|u| (256.0 * u) as u8);
        let image: Vec<f32> = bytes.map(byte_to_unit).collect();
        let verdicts = network.judge(&image, shape).unwrap();
        close(name, &verdicts.features, &golden(&format!("{name}.features")));
        let powers: Vec<f32> = golden(&format!("{name}.logits")).iter().map(|x| x.exp()).collect();
        let sum: f32 = powers.iter().sum();
        close(name, &verdicts.probabilities, &powers.iter().map(|p| p / sum).collect::<Vec<_>>());
    }
}

#[test]
fn the_parameters_have_the_published_names_and_shapes() {
    let outline = Inception::outline();
    let count: usize = outline.iter().map(|param| param.shape().iter().product::<usize>()).sum();
    // 94 convolutions and their batch norms, and the output's two. The public file has 95,628,359 bytes.
    assert_eq!((outline.len(), count), (94 * 5 + 2, 23_885_392));
    let shape = |name: &str| {
        let param = outline.iter().find(|param| param.name() == name).unwrap_or_else(|| panic!("{name}"));
        published_shape(name, param.shape())
    };
    assert_eq!(shape("Conv2d_1a_3x3.conv.weight"), [32, 3, 3, 3]);
    assert_eq!(shape("Mixed_5b.branch_pool.conv.weight"), [32, 192, 1, 1]);
    assert_eq!(shape("Mixed_6c.branch7x7dbl_4.conv.weight"), [160, 160, 7, 1]);
    assert_eq!(shape("Mixed_7c.branch3x3dbl_3b.bn.running_var"), [384]);
    assert_eq!(shape("fc.weight"), [1008, 2048]);
}

#[test]
fn an_evaluation_names_the_network_and_warns_of_unknown_weights() {
    let path = FOLDER.path();
    let eval = "eval pictures --inception inception.safetensors --count 4";
    let data = "--data digits --data-count 3";
    let found: Value =
        serde_json::from_str(&succeed(path, &format!("{eval} {data} --save-stats stats.npz --json"))).unwrap();
    assert!(found["fid"].is_number() && found["kid"].is_number(), "{found}");
    assert_eq!((&found["dim"], &found["count"], &found["data_count"]), (&2048.into(), &4.into(), &3.into()));
    // 1,008 classes of photographs say nothing of digits.
    assert!(["modes", "kl", "classes", "confident", "of_data"].iter().all(|key| found.get(key).is_none()), "{found}");
    let extractor = found["extractor"].as_str().unwrap();
    let hash = extractor.strip_prefix("Inception-v3 of FID, unknown weights, SHA-256 ").unwrap();
    // That of the .pth which make_inception.py writes, too: the format of the file does not matter.
    assert_eq!(hash, "fa058e9d058861980dc23fd912d1697e3cdbb2d95cd917707913f69df86b9f31");
    let warnings = found["warnings"].to_string();
    assert!(warnings.contains("inception.safetensors are not known") && warnings.contains(hash), "{warnings}");

    let saved: Value = serde_json::from_str(&succeed(path, &format!("{eval} --stats stats.npz --json"))).unwrap();
    assert_eq!(saved["fid"], found["fid"]);
    let jpeg: Value =
        serde_json::from_str(&succeed(path, &format!("{eval} --stats stats.npz --via-jpeg --json"))).unwrap();
    assert!(jpeg["via_jpeg"] == true && jpeg["fid"] != found["fid"] && found.get("via_jpeg").is_none());
}

#[test]
fn files_of_other_networks_are_refused() {
    let path = FOLDER.path();
    write(&path.join("part.safetensors"), "fc.weight");
    let arguments = "eval pictures --data digits --data-count 3 --inception";
    fail(path, &format!("{arguments} part.safetensors"), &["no Inception-v3 as", "1 missing: fc.weight"]);
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let generator = fixtures.join("netG_25.pth");
    fail(path, &format!("{arguments} {}", generator.display()), &["netG_25.pth", "no Inception-v3 as", "472 missing"]);
    fail(path, &format!("{arguments} pictures/0.png"), &["0.png"]);
    fail(path, &format!("{arguments} nowhere.pth"), &["nowhere.pth"]);
}
