//! CIFAR-10 in both versions, on files made here in the layout of the published ones.

use ddgan::data::{self, Cifar10, DataSpec, Dataset, Split};
use std::fs;
use std::path::{Path, PathBuf};

/// Byte `at` of 3072 of picture `i`: red, green and blue plane.
fn pixel(i: usize, at: usize) -> u8 {
    (i * 31 + at * 7 + at / 1024) as u8
}

fn pixels(i: usize) -> impl Iterator<Item = u8> {
    (0..3072).map(move |at| pixel(i, at))
}

fn binary(pictures: std::ops::Range<usize>) -> Vec<u8> {
    pictures.flat_map(|i| [(i % 10) as u8].into_iter().chain(pixels(i))).collect()
}

/// As Python 2 wrote them: {'batch_label': .., 'labels': [..], 'data': array, 'filenames': [..]}, protocol 2.
pub fn pickled(pictures: std::ops::Range<usize>) -> Vec<u8> {
    let n = pictures.len() as u16;
    let mut bytes =
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(".to_vec();
    bytes.extend(pictures.clone().flat_map(|i| [b'K', (i % 10) as u8]));
    bytes.extend(
        b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
    );
    bytes.extend(b"(K\x01M");
    bytes.extend(n.to_le_bytes());
    bytes.extend(b"M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    bytes.extend((u32::from(n) * 3072).to_le_bytes());
    bytes.extend(pictures.clone().flat_map(pixels));
    bytes.extend(b"tbU\x09filenamesq\x0c]q\x0d(");
    bytes.extend(pictures.flat_map(|_| *b"U\x05x.png"));
    bytes.extend(b"eu.");
    bytes
}

/// Five batches of 4 pictures and a test batch of 3.
fn write(folder: &Path, suffix: &str, batch: impl Fn(std::ops::Range<usize>) -> Vec<u8>) {
    fs::create_dir_all(folder).unwrap();
    for i in 0..5 {
        fs::write(folder.join(format!("data_batch_{}{suffix}", i + 1)), batch(4 * i..4 * i + 4)).unwrap();
    }
    fs::write(folder.join(format!("test_batch{suffix}")), batch(0..3)).unwrap();
}

fn image(data: &dyn Dataset, index: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; data.shape().len()];
    data.image(index, &mut out).unwrap();
    out
}

#[test]
fn both_versions_hold_the_same_pictures() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("bin"), ".bin", binary);
    write(&dir.path().join("py"), "", pickled);
    for version in ["bin", "py"] {
        let open = |split| Cifar10::open(&[dir.path().join(version)], split).unwrap();
        assert_eq!(open(Split::Test).len(), 3);
        let data = open(Split::Train);
        assert_eq!((data.len(), data.classes(), data.shape().len(), data.flip_by_default()), (20, 10, 3072, true));
        for i in [0, 7, 19] {
            assert_eq!(data.label(i), i as u32 % 10);
            for (at, &got) in image(&data, i).iter().enumerate() {
                let (place, channel) = (at / 3, at % 3);
                assert_eq!(got, f32::from(pixel(i, 1024 * channel + place)) / 127.5 - 1.0, "{version} {i} {at}");
            }
        }
    }
}

#[test]
fn the_folders_of_the_archives_are_found() {
    let dir = tempfile::tempdir().unwrap();
    for (name, suffix) in
        [("a/cifar-10-batches-py", ""), ("b/cifar10", ".bin"), ("c/cifar10/cifar-10-batches-bin", ".bin")]
    {
        let batch = |pictures| if suffix.is_empty() { pickled(pictures) } else { binary(pictures) };
        write(&dir.path().join(name), suffix, batch);
    }
    for root in ["a", "b", "c"] {
        let data_dir = Some(dir.path().join(root));
        let data = data::open(&DataSpec { name: "cifar10".into(), data_dir, ..Default::default() }).unwrap();
        assert_eq!((data.name(), data.len()), ("cifar10", 20));
    }
    let open = |root: &str| Cifar10::open(&[dir.path().join(root)], Split::Train).map(|_| ());
    fs::remove_file(dir.path().join("b/cifar10/data_batch_4.bin")).unwrap();
    let text = open("b").unwrap_err().to_string();
    for part in ["data_batch_1.bin", "data_batch_4.bin is missing", "no such folder", "fetch cifar10", "--data-dir"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

fn error(name: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    fs::write(&file, bytes).unwrap();
    let text = Cifar10::read(&[file]).err().unwrap().to_string();
    assert!(text.contains(name), "{text}");
    text
}

#[test]
fn every_cut_is_an_error() {
    let whole = pickled(0..2);
    for end in (0..whole.len()).step_by(37) {
        error("data_batch_1", &whole[..end]);
    }
    let whole = binary(0..2);
    for end in (0..whole.len()).step_by(37).filter(|end| end % 3073 != 0) {
        assert!(error("data_batch_1.bin", &whole[..end]).contains("records of 3073"));
    }
}

#[test]
fn what_is_wrong_is_said() {
    let mut label = binary(0..2);
    label[3073] = 10;
    assert!(error("data_batch_1.bin", &label).contains("label 1 is 10"));
    assert!(error("data_batch_1.bin", b"").contains("0 bytes"));
    assert!(error("data_batch_1", b"\x80\x02].").contains("a list of 0, expected a dict with `data`"));
    assert!(error("data_batch_1", b"<!DOCTYPE html>").contains("not a pickle"));
    assert!(error("data_batch_1", b"\x80\x02}(U\x04dataNU\x06labels]u.").contains("`data` is None"));
    // A label more than pictures.
    let mut bytes = pickled(0..2);
    let labels = bytes.windows(3).position(|w| w == b"\x05(K").unwrap() + 2;
    bytes.splice(labels..labels, *b"K\x01");
    assert!(error("data_batch_1", &bytes).contains("for 3 labels"));

    let dir = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = ["data_batch_1.bin", "data_batch_2.bin"].map(|name| dir.path().join(name)).into();
    fs::write(&files[0], binary(0..4)).unwrap();
    fs::write(&files[1], binary(4..7)).unwrap();
    let text = Cifar10::read(&files).err().unwrap().to_string();
    assert!(text.contains("data_batch_2.bin: holds 3 pictures, the files before it 4 each"), "{text}");
}
