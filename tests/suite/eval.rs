//! `ddgan train-classifier` and `ddgan eval`: the library on tiny classifiers, and the program on tiny runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use ddgan::data::{Dataset, Digits, ImageShape, Split};
use ddgan::eval::{ClassifierTraining, Extractor, SavedClassifier, Statistics, train_classifier};
use ddgan::sample::{Output, Plan, Samples};
use ddgan::tensor::Device;
use serde_json::Value;
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
    assert!(warnings.contains("30 pictures is too large") && warnings.contains("singular"), "{warnings}");
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
    let fewer = FOLDER.json("pictures --count 40 --data digits --data-count 50");
    assert!(fewer["warnings"].to_string().contains("there are 30 pictures, 40 were asked for"), "{fewer}");
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

/// An NPZ file of points, as `ddgan sample` writes it.
fn write_points(path: &Path, values: &[f32]) {
    let mut samples = Samples::new(ImageShape::POINT);
    samples.push(values);
    let count = samples.len() as u64;
    let plan = Plan { shape: ImageShape::POINT, count, columns: 1, beside: None, overwrite: false };
    let mut output = Output::open(path, &plan).unwrap();
    output.push_next(&samples).unwrap();
    output.finish().unwrap();
}

#[test]
fn points_are_judged_by_their_modes() {
    let dir = tempfile::tempdir().unwrap();
    let json = |arguments: &str| -> Value {
        serde_json::from_str(&succeed(dir.path(), &format!("eval {arguments} --json"))).unwrap()
    };
    // Two at the first mode, one near the second, one nowhere.
    write_points(&dir.path().join("four.npz"), &[1.41, 0.0, 1.42, 0.0, 1.0, 1.01, 0.0, 0.0]);
    let four = json("four.npz --data ring8 --count 4");
    assert_eq!((&four["modes"], &four["modes_total"], &four["high_quality"]), (&2.into(), &8.into(), &0.75.into()));
    let entropy = 3_f64.ln() - 2.0 / 3.0 * 2_f64.ln();
    assert!((four["kl"].as_f64().unwrap() - (8_f64.ln() - entropy)).abs() < 1e-12, "{four}");
    assert_eq!((&four["count"], &four["of_data"]["modes"]), (&4.into(), &4.into()));
    for key in ["extractor", "dim", "fid", "confident", "classes", "warnings", "sampling"] {
        assert!(four.get(key).is_none(), "{key}: {four}");
    }
    let warned = json("four.npz --data ring8");
    assert!(warned["warnings"].to_string().contains("there are 4 points, 10000 were asked for"), "{warned}");

    let tiny = "--num-channels-dae 8 --ngf 8 --batch-size 8 --grid-pictures 4";
    succeed(dir.path(), &format!("train ring8 --outdir run --max-steps 1 {tiny}"));
    let run = json("run --count 2500 --seed 4");
    assert_eq!((&run["step"], &run["averaged"], &run["seed"]), (&1.into(), &true.into(), &4.into()));
    assert_eq!((&run["data"], &run["data_count"]), (&"data set ring8".into(), &2500.into()));
    assert!((run["of_data"]["high_quality"].as_f64().unwrap() - 0.989).abs() < 0.01, "{run}");
    assert_eq!((&run["sampling"]["nfe"], &run["sampling"]["batch"]), (&4.into(), &1000.into()));
    succeed(dir.path(), "sample run --count 2500 --seed 4 --out points.npz");
    for subject in ["points.npz --data ring8", "run/checkpoints/step-000001.safetensors --seed 4"] {
        let found = json(&format!("{subject} --count 2500"));
        for key in ["modes", "modes_total", "high_quality", "kl", "of_data"] {
            assert_eq!(found[key], run[key], "{subject}: {key}");
        }
    }
    let table = succeed(dir.path(), "eval run --count 100 --data gaussians25 --test");
    for words in ["100 points, seed 0", "high quality", "/25   data 25", "the generator learnt ring8"] {
        assert!(table.contains(words), "no `{words}` in {table}");
    }
    let lines = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3);

    for (arguments, words) in [
        ("four.npz", &["name the data set", "--data NAME"][..]),
        ("four.npz --data digits", &["`digits` is no data set of points", "ring8"]),
        ("four.npz --data swissroll", &["swissroll has no modes"]),
        ("run --classifier x.safetensors", &["--classifier is for pictures"]),
        ("run --save-stats x.npz", &["--save-stats is for pictures"]),
    ] {
        fail(dir.path(), &format!("eval {arguments}"), words);
    }
}
