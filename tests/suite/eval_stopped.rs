//! Evaluations that are stopped go on where they were, to the same result.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ddgan::data::{Digits, ImageShape, Split};
use ddgan::eval::{self, About, Extractor, Options, Reference, SavedClassifier, Subject, Verdicts};
use ddgan::models::Classifier;
use ddgan::tensor::Device;
use ddgan::{Error, Result};
use serde_json::Value;

use super::program::{TINY, command, succeed};

/// One that never learnt: what it says does not matter here.
fn classifier() -> SavedClassifier {
    let network = Classifier::new(10, 0, &Device::Cpu).unwrap();
    let about = About { dataset: "digits".into(), classes: 10, accuracy: 0.1, test_pictures: 0, epochs: 0, seed: 0 };
    SavedClassifier::new(network, about)
}

/// An extractor that fails after some batches.
struct Stops<'a> {
    extractor: &'a SavedClassifier,
    left: Cell<usize>,
}

impl Extractor for Stops<'_> {
    fn describe(&self) -> String {
        self.extractor.describe()
    }
    fn identity(&self) -> String {
        self.extractor.identity()
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn features(&self, shape: ImageShape) -> usize {
        self.extractor.features(shape)
    }
    fn classes(&self) -> usize {
        10
    }
    fn predictions(&self, shape: ImageShape) -> usize {
        self.extractor.predictions(shape)
    }
    fn dataset(&self) -> Option<&str> {
        self.extractor.dataset()
    }
    fn judge(&self, images: &[f32], shape: ImageShape) -> Result<Verdicts> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| Error::config("stopped"))?;
        self.left.set(left);
        self.extractor.judge(images, shape)
    }
}

fn save(path: &Path, shade: u32) {
    image::GrayImage::from_fn(32, 32, |x, y| image::Luma([(x * shade + y) as u8])).save(path).unwrap();
}

fn journals(folder: &Path) -> Vec<fs::DirEntry> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "part")).collect()
}

#[test]
fn whatever_was_done_is_not_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    (0..230).for_each(|i| save(&pictures.join(format!("{i:03}.png")), i));
    let (classifier, data) = (classifier(), Digits::new(Split::Test, 0));
    let evaluate = |batches: usize, keep: bool| {
        let extractor = Stops { extractor: &classifier, left: Cell::new(batches) };
        let subject = Subject::open_pictures(&pictures).unwrap().unwrap();
        let keep = keep.then(|| dir.path().to_path_buf());
        let options = Options { count: 230, data_count: 350, batch: 100, seed: 0, via_jpeg: false, keep };
        let reference = Reference::Data(&data, Split::Test);
        let found = eval::evaluate(&subject, &reference, &extractor, &options, &mut |_, _, _| ());
        let found = found.map(|(found, _)| serde_json::to_value(found).unwrap()).map_err(|error| error.to_string());
        (found, batches - extractor.left.get())
    };
    // Four batches of data, three of pictures.
    let (whole, batches) = evaluate(100, false);
    assert!(whole.is_ok() && batches == 7 && journals(dir.path()).is_empty());
    for stopped_after in 0..7 {
        assert_eq!(evaluate(stopped_after, true), (Err("stopped".into()), stopped_after));
        assert_eq!(evaluate(100, true), (whole.clone(), 7 - stopped_after));
        assert!(journals(dir.path()).is_empty(), "what is done needs no journal");
    }
    // Stopped again and again.
    (0..6).for_each(|_| assert_eq!(evaluate(1, true).1, 1));
    assert_eq!(evaluate(1, true), (whole.clone(), 1));

    // Of a picture that is another one now, what was known is wrong, and of those after it forgotten.
    assert_eq!(evaluate(6, true).1, 6);
    save(&pictures.join("150.png"), 999);
    let (changed, batches) = evaluate(100, true);
    assert_eq!(batches, 2);
    assert_eq!(changed, evaluate(100, false).0);
    assert_ne!(changed, whole);
}

#[test]
fn a_killed_program_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    classifier().save(&dir.path().join("classifier-digits.safetensors")).unwrap();
    succeed(dir.path(), &format!("train digits --outdir run --max-steps 1 {TINY}"));
    let arguments = "eval run --count 1200 --data-count 200 --json";
    let evaluate = || {
        let mut found: Value = serde_json::from_str(&succeed(dir.path(), arguments)).unwrap();
        // How long it took is another matter.
        found.as_object_mut().unwrap().remove("sampling");
        found
    };
    let mut child = command(dir.path(), arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (began, kept) =
        (Instant::now(), || journals(dir.path()).iter().map(|j| j.metadata().unwrap().len()).sum::<u64>());
    // All of the data, and some pictures: 138 numbers each.
    while kept() < 700 * 138 * 4 {
        assert!(began.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(journals(dir.path()).len(), 2);
    let resumed = evaluate();
    assert!(journals(dir.path()).is_empty());
    assert_eq!(resumed, evaluate());
}
