//! `ddgan train-classifier` and `ddgan eval`: the library on tiny classifiers, and the program on tiny runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use ddgan::data::{Dataset, Digits, ImageShape, Split};
use ddgan::eval::{ClassifierTraining, Extractor, SavedClassifier, Statistics, train_classifier};
use ddgan::sample::{Source, Which};
use ddgan::tensor::{DType, Device, Tensor};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{TINY, ddgan, fail, stderr, succeed};

/// The first digits of the drawn ones: enough to learn something in a moment.
struct Few(Digits, usize);

impl Dataset for Few {
    fn name(&self) -> &str {
        "digits"
    }
    fn origin(&self) -> String {
        self.0.origin()
    }
    fn len(&self) -> usize {
        self.1
    }
    fn shape(&self) -> ImageShape {
        self.0.shape()
    }
    fn classes(&self) -> usize {
        10
    }
    fn label(&self, index: usize) -> u32 {
        self.0.label(index)
    }
    fn image(&self, index: usize, out: &mut [f32]) -> ddgan::Result<()> {
        self.0.image(index, out)
    }
}

fn trained(pictures: usize, epochs: u64, seed: u64) -> SavedClassifier {
    let few = |split, count| Few(Digits::new(split, 0), count);
    let options = ClassifierTraining { epochs, batch_size: 50, seed, ..Default::default() };
    let (train, test) = (Arc::new(few(Split::Train, pictures)), few(Split::Test, 300));
    train_classifier(train, &test, &options, &Device::Cpu, &mut |_| ()).unwrap()
}

/// A folder with a classifier, a run of a training that has just begun, and pictures of digits as PNG and NPZ.
struct Folder(TempDir);

static FOLDER: LazyLock<Folder> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    trained(1500, 2, 0).save(&dir.path().join("classifier-digits.safetensors")).unwrap();
    succeed(dir.path(), &format!("train digits --outdir run --max-steps 2 {TINY}"));
    succeed(dir.path(), "sample run --count 30 --out pictures --out pictures.npz");
    Folder(dir)
});

impl Folder {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn classifier(&self) -> PathBuf {
        self.path().join("classifier-digits.safetensors")
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&succeed(self.path(), &format!("eval {arguments} --json"))).unwrap()
    }
}

fn digits(count: usize) -> Vec<f32> {
    let data = Digits::new(Split::Test, 0);
    let mut images = vec![0.0; count * data.shape().len()];
    for (i, image) in images.chunks_exact_mut(data.shape().len()).enumerate() {
        data.image(i, image).unwrap();
    }
    images
}

#[test]
fn a_classifier_learns_and_is_the_same_from_its_file() {
    let classifier = SavedClassifier::open(&FOLDER.classifier(), &Device::Cpu).unwrap();
    // By guessing a tenth.
    assert!(classifier.about.accuracy > 0.7, "{}", classifier.about.accuracy);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("classifier");
    classifier.save(&path).unwrap();
    let read = SavedClassifier::open(&path, &Device::Cpu).unwrap();
    assert_eq!((&read.about, read.identity()), (&classifier.about, classifier.identity()));
    let shape = Digits::new(Split::Test, 0).shape();
    let images = digits(130);
    let [one, other] = [&classifier, &read].map(|c| c.judge(&images, shape).unwrap());
    assert!(one.features == other.features && one.probabilities == other.probabilities);
    assert_eq!((one.features.len(), one.probabilities.len()), (130 * 128, 130 * 10));
    let sums = one.probabilities.chunks_exact(10).map(|row| row.iter().sum::<f32>());
    assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-5));
}

#[test]
fn trainings_follow_from_the_seed() {
    let identity = |seed| trained(100, 1, seed).identity();
    assert_eq!(identity(1), identity(1));
    assert_ne!(identity(1), identity(2));
}

#[test]
fn colour_is_judged_channel_by_channel_and_28x28_is_the_middle() {
    let classifier = SavedClassifier::open(&FOLDER.classifier(), &Device::Cpu).unwrap();
    let shape = Digits::new(Split::Test, 0).shape();
    let images = digits(6);
    let grey = classifier.judge(&images, shape).unwrap();
    // Pictures 0, 1, 2 as the channels of one, 3, 4, 5 of another.
    let [first, second] = [0, 3].map(|start| {
        let channel = |c: usize, i: usize| images[(start + c) * shape.len() + i];
        (0..shape.len()).flat_map(move |i| (0..3).map(move |c| channel(c, i))).collect::<Vec<f32>>()
    });
    let colour = classifier.judge(&[first, second].concat(), ImageShape { channels: 3, ..shape }).unwrap();
    assert!(colour.probabilities == grey.probabilities && colour.features == grey.features);
    let rows = images.chunks_exact(32).enumerate().filter(|(row, _)| (2..30).contains(&(row % 32)));
    let middle: Vec<f32> = rows.flat_map(|(_, row)| row[2..30].to_vec()).collect();
    let small = ImageShape { height: 28, width: 28, channels: 1 };
    assert!(classifier.judge(&middle, small).unwrap().features == grey.features);
    let error = classifier.judge(&middle[..16 * 16], ImageShape { height: 16, width: 16, channels: 1 });
    assert!(error.is_err_and(|e| e.to_string().contains("16x16")));
}

#[test]
fn a_run_its_folder_of_pictures_and_its_array_are_worth_the_same() {
    let data = "--data digits --data-count 400";
    let run = FOLDER.json(&format!("run --count 30 {data}"));
    for key in ["fid", "kid", "kid_std", "precision", "recall", "density", "coverage", "inception_score", "kl"] {
        assert!(run[key].is_number(), "{key}: {run}");
    }
    assert_eq!((&run["count"], &run["data_count"], &run["step"]), (&30.into(), &400.into(), &2.into()));
    assert_eq!((&run["seed"], &run["dim"], &run["modes_total"]), (&0.into(), &128.into(), &10.into()));
    assert!(run["extractor"].as_str().unwrap().starts_with("our classifier of digits, right for "));
    let classes: u64 = run["classes"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(classes, 30);
    let of_data: u64 = run["of_data"]["classes"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(of_data, 30);
    let warnings = run["warnings"].to_string();
    for words in ["30 pictures is too large", "singular", "30 pictures beside 400", "30 pictures is too small", "KID"] {
        assert!(warnings.contains(words), "no `{words}` in {warnings}");
    }
    assert_eq!(run["compared"], json!([400, 30]));
    let in_parts = FOLDER.json(&format!("run --count 30 --batch 7 {data}"));
    let [fid, want] = [&in_parts["fid"], &run["fid"]].map(|fid| fid.as_f64().unwrap());
    assert!((fid - want).abs() < 1e-9 * want && in_parts["classes"] == run["classes"], "{in_parts}");
    assert_eq!((&in_parts["sampling"]["batch"], &in_parts["sampling"]["batches"]), (&7.into(), &3.into()));
    for files in ["pictures", "pictures.npz"] {
        let found = FOLDER.json(&format!("{files} --count 30 {data}"));
        for key in ["fid", "kid", "precision", "density", "inception_score", "classes", "confident"] {
            assert_eq!(found[key], run[key], "{files}: {key}");
        }
        assert!(found.get("step").is_none());
    }
}

#[test]
fn what_was_found_is_kept_in_the_run() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(FOLDER.classifier(), dir.path().join("classifier-digits.safetensors")).unwrap();
    succeed(dir.path(), &format!("train digits --outdir run --max-steps 1 {TINY}"));
    let table = succeed(dir.path(), "eval run --count 310 --data-count 100 --seed 3");
    for words in ["run after 1 steps, averaged parameters: 310 pictures, seed 3", "Frechet distance", "2 NFE"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    succeed(dir.path(), "eval run/checkpoints/step-000001.safetensors --raw --count 20 --data-count 100");
    let lines = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [first, second] = &lines[..] else { panic!("{} lines", lines.len()) };
    assert_eq!((&first["count"], &first["seed"], &first["averaged"]), (&310.into(), &3.into(), &true.into()));
    assert_eq!((&second["count"], &second["averaged"]), (&20.into(), &false.into()));
    let sampling = &first["sampling"];
    assert_eq!((&sampling["nfe"], &sampling["batch"], &sampling["batches"]), (&2.into(), &100.into(), &2.into()));
    // One batch alone tells nothing of how long the next one takes.
    assert!(second.get("sampling").is_none());
}

#[test]
fn saved_statistics_stand_for_the_data() {
    let stats = "stats.npz";
    let direct = FOLDER.json(&format!("pictures --data digits --data-count 300 --save-stats {stats}"));
    let saved = FOLDER.json(&format!("pictures --stats {stats} --classifier classifier-digits.safetensors"));
    assert_eq!(saved["fid"], direct["fid"]);
    assert!(saved.get("kid").is_none() && saved.get("of_data").is_none());
    assert_eq!(saved["data"], stats);
    // 9 / (2 * 30).
    assert!(saved["warnings"].to_string().contains("KL of 30 pictures would be about 0.1500"), "{saved}");

    let other = FOLDER.path().join("other.safetensors");
    trained(100, 1, 5).save(&other).unwrap();
    let arguments = format!("eval pictures --stats {stats} --classifier other.safetensors");
    fail(FOLDER.path(), &arguments, &["stats.npz", "another extractor", "ddgan classifier of digits"]);
}

/// mu = [1, 2], sigma = [[2, 0.5], [0.5, 1]].
fn assert_golden(statistics: &Statistics) {
    assert_eq!(statistics.gaussian.mean().as_slice(), [1.0, 2.0]);
    assert_eq!(statistics.gaussian.covariance().as_slice(), [2.0, 0.5, 0.5, 1.0]);
}

#[test]
fn statistics_of_other_programs_are_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/statistics");
    for name in ["savez.npz", "savez_compressed.npz", "dict.npy", "float32.npz"] {
        let statistics = Statistics::read(&folder.join(name)).unwrap();
        assert_golden(&statistics);
        assert_eq!(statistics.extractor, None);
        // What we write is read again.
        let dir = tempfile::tempdir().unwrap();
        let statistics = Statistics { extractor: Some("Ours, öfters".into()), ..statistics };
        statistics.write(&dir.path().join("x.npz")).unwrap();
        assert_eq!(Statistics::read(&dir.path().join("x.npz")).unwrap(), statistics);
    }
    // Of two features, for pictures of 128: of another extractor.
    let savez = folder.join("savez.npz");
    let arguments = format!("eval pictures --stats {} --classifier classifier-digits.safetensors", savez.display());
    fail(FOLDER.path(), &arguments, &["2 features", "these pictures have 128"]);
}

#[test]
fn damaged_statistics_are_refused() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/statistics");
    let dir = tempfile::tempdir().unwrap();
    for (name, words) in [
        ("wrong_size.npz", "which is not 3 x 3"),
        ("no_sigma.npz", "has no array `sigma`"),
        ("not_finite.npz", "not finite"),
        ("lopsided.npz", "not symmetric"),
        ("list.npy", "is no NPY file with"),
    ] {
        let error = Statistics::read(&folder.join(name)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(words), "{name}: {error}");
    }
    for name in ["savez.npz", "dict.npy"] {
        let whole = fs::read(folder.join(name)).unwrap();
        for length in (0..whole.len()).step_by(37) {
            let path = dir.path().join(name);
            fs::write(&path, &whole[..length]).unwrap();
            assert!(Statistics::read(&path).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn what_cannot_be_measured_is_told() {
    let path = FOLDER.path();
    let cases: &[(&str, &[&str])] = &[
        ("nowhere", &["nowhere: there is no such folder or file"]),
        ("pictures", &["name the data set", "--data NAME"]),
        ("run --data mnist", &["ddgan train-classifier mnist", "--classifier FILE"]),
        ("pictures --data cifar10", &["no classifier for data set `cifar10`"]),
        ("run --data gaussians25 --classifier classifier-digits.safetensors", &["32x32 with 1", "1x1 with 2"]),
        ("pictures --data digits --step 3", &["holds pictures, no generator"]),
        ("run --step 7", &["no checkpoint of step 7"]),
        ("run --classifier run/checkpoints/step-000002.safetensors", &["is no classifier of `ddgan train-classifier`"]),
    ];
    for (arguments, words) in cases {
        fail(path, &format!("eval {arguments}"), words);
    }
    assert_eq!(ddgan(path, "eval run --count 1").status.code(), Some(2));
    // Fewer than metrics take: they are left out, and the result says so.
    let few = FOLDER.json("run --count 4 --data-count 50");
    assert!(few["fid"].is_number() && few.get("precision").is_none() && few.get("inception_score").is_none());
    let warnings = few["warnings"].to_string();
    assert!(warnings.contains("more than 5 samples") && warnings.contains("over 10 parts"), "{warnings}");
    let fewer = FOLDER.json("pictures --count 40 --data digits --data-count 50 --test");
    assert_eq!(fewer["data"], "test set of digits");
    assert!(fewer["warnings"].to_string().contains("there are 30 pictures, 40 were asked for"), "{fewer}");
}

#[test]
fn results_name_what_they_were_compared_with() {
    let test = FOLDER.json("pictures --data digits --test --data-count 20");
    assert_eq!(test["data"], "test set of digits");
    assert!(test["warnings"].to_string().contains("those of 20 pictures, not of 30"), "{test}");
    let own = FOLDER.json("pictures --data pictures --classifier classifier-digits.safetensors");
    assert_eq!((&own["data"], &own["precision"]), (&"pictures in pictures".into(), &1.0.into()));
    assert!(own["fid"].as_f64().unwrap() < 0.01, "{own}");
    // Two trainings are two rulers, also where they are right equally often.
    let [one, other] = [1, 2].map(|seed| trained(100, 1, seed).describe());
    assert_ne!(one.rsplit(' ').next(), other.rsplit(' ').next());
}

/// Distances notice which filter made pictures smaller.
#[test]
fn data_is_resized_as_for_the_training() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("set")).unwrap();
    for i in 0..6_u32 {
        let picture = image::GrayImage::from_fn(50, 50, |x, y| image::Luma([(x * x * (i + 3) + y * y) as u8]));
        picture.save(dir.path().join(format!("set/{i}.png"))).unwrap();
    }
    let shape = "--image-size 32 --num-channels 1";
    succeed(dir.path(), &format!("train {TINY} --dataset set {shape} --resize-filter box --max-steps 1 --outdir run"));
    let classifier = FOLDER.classifier();
    let fid = |flags: &str| {
        let eval = format!("eval run --count 3 --json --classifier {} {flags}", classifier.display());
        serde_json::from_str::<Value>(&succeed(dir.path(), &eval)).unwrap()["fid"].as_f64().unwrap()
    };
    assert_eq!(fid(""), fid("--resize-filter box"));
    assert_ne!(fid(""), fid("--resize-filter lanczos"));
}

/// Bytes have no NaN: such pictures would be black, and worth something.
#[test]
fn a_generator_without_numbers_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::open(&FOLDER.path().join("run"), Which::Newest, false, DType::F32, &Device::Cpu).unwrap();
    for param in source.generator.params() {
        param.set(Tensor::from_f32(&vec![f32::NAN; param.value().len()], param.shape())).unwrap();
    }
    let path = dir.path().join("nan.safetensors");
    source.save(&path).unwrap();
    let (path, classifier) = (path.display(), FOLDER.classifier());
    fail(dir.path(), &format!("sample {path} --count 2 --out a.png"), &["not finite", "--step"]);
    assert!(!dir.path().join("a.png").exists());
    let flags = format!("--data digits --count 2 --data-count 9 --classifier {}", classifier.display());
    fail(dir.path(), &format!("eval {path} {flags}"), &["not finite"]);
}

#[test]
fn a_picture_of_another_size_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for (name, side) in [("a.png", 32), ("b.png", 30)] {
        image::GrayImage::new(side, side).save(dir.path().join(name)).unwrap();
    }
    let classifier = FOLDER.path().join("classifier-digits.safetensors");
    let arguments =
        format!("eval {} --data digits --classifier {} --data-count 9", dir.path().display(), classifier.display());
    fail(FOLDER.path(), &arguments, &["b.png", "is 30x30, expected 32x32"]);
}

#[test]
fn the_classifier_s_file_is_not_replaced_unasked() {
    let output = ddgan(FOLDER.path(), "train-classifier digits --epochs 1");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--overwrite"), "{}", stderr(&output));
}
