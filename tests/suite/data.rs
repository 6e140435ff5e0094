//! Data sets on files made here, and the drawn digits.

use ddgan::data::idx::Idx;
use ddgan::data::{self, DataSpec, Dataset, Digits, Mnist, Split, StackMnist};
use ddgan::{Error, Result};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn idx_bytes(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Byte `at` of picture `i` of the MNIST made here.
fn pixel(i: usize, at: usize) -> u8 {
    (i * 31 + at * 7) as u8
}

/// A folder with an MNIST of `n` pictures whose labels are i mod 10.
fn write_mnist(folder: &Path, n: usize, split: Split) {
    let (prefix, dims) = (if split == Split::Train { "train" } else { "t10k" }, [n as u32, 28, 28]);
    let pixels: Vec<u8> = (0..n).flat_map(|i| (0..784).map(move |at| pixel(i, at))).collect();
    let labels: Vec<u8> = (0..n).map(|i| (i % 10) as u8).collect();
    fs::create_dir_all(folder).unwrap();
    // One of them gzipped under a plain name: the content decides.
    fs::write(folder.join(format!("{prefix}-images-idx3-ubyte")), gzip(&idx_bytes(&dims, &pixels))).unwrap();
    fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte.gz")), idx_bytes(&dims[..1], &labels)).unwrap();
}

fn image(data: &dyn Dataset, index: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; data.shape().len()];
    data.image(index, &mut out).unwrap();
    out
}

mod idx {
    use super::*;

    fn read(bytes: &[u8], rank: usize) -> Result<Idx> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some-file");
        fs::write(&path, bytes).unwrap();
        Idx::read(path, rank)
    }

    fn error(bytes: &[u8], rank: usize) -> String {
        let error = read(bytes, rank).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("some-file"), "{text}");
        text
    }

    #[test]
    fn plain_and_gzipped_are_the_same() {
        let bytes = idx_bytes(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let want = Idx { dims: vec![2, 1, 3], data: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(read(&bytes, 3).unwrap(), want);
        assert_eq!(read(&gzip(&bytes), 3).unwrap(), want);
        // A gzip file may be several, one after the other.
        assert_eq!(read(&[gzip(&bytes[..7]), gzip(&bytes[7..])].concat(), 3).unwrap(), want);
        assert_eq!(read(&idx_bytes(&[0], &[]), 1).unwrap(), Idx { dims: vec![0], data: vec![] });
    }

    #[test]
    fn every_cut_is_an_error() {
        let plain = idx_bytes(&[2, 2, 2], &[9; 8]);
        let zipped = gzip(&plain);
        for bytes in [&plain, &zipped] {
            for end in 0..bytes.len() {
                error(&bytes[..end], 3);
            }
        }
        assert!(error(&plain[..20], 3).contains("cut short"));
        assert!(error(&zipped[..zipped.len() - 1], 3).contains("damaged gzip"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(error(b"<!DOCTYPE html><title>404</title>", 3).contains("no idx file"));
        assert!(error(&[idx_bytes(&[2], &[1, 2]), vec![3]].concat(), 1).contains("goes on"));
        assert!(error(&gzip(&[idx_bytes(&[2], &[1, 2]), vec![3]].concat()), 1).contains("goes on"));
        assert!(error(&idx_bytes(&[2], &[1, 2]), 3).contains("mixed up"));
        let mut floats = idx_bytes(&[2], &[0; 8]);
        floats[2] = 0x0d;
        assert!(error(&floats, 1).contains("0x0d"));
        let mut damaged = gzip(&idx_bytes(&[2], &[1, 2]));
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        assert!(error(&damaged, 1).contains("damaged gzip"));
    }

    /// A header may claim anything: terabytes are refused, half a gigabyte that is not there costs no memory.
    #[test]
    fn a_huge_header_is_refused() {
        assert!(error(&idx_bytes(&[u32::MAX; 3], &[0; 99]), 3).contains("allowed"));
        assert!(error(&idx_bytes(&[1 << 20, 1 << 10, 1 << 10], &[0; 99]), 3).contains("allowed"));
        assert!(error(&idx_bytes(&[1 << 29], &[0; 99]), 1).contains("cut short"));
        assert!(error(&gzip(&idx_bytes(&[1 << 29], &[0; 99])), 1).contains("cut short"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Idx::read("no/such/file", 3).unwrap_err().to_string();
        assert!(error.contains("no/such/file"), "{error}");
    }
}

mod mnist {
    use super::*;

    #[test]
    fn pictures_are_padded_before_they_are_scaled() {
        let dir = tempfile::tempdir().unwrap();
        write_mnist(dir.path(), 12, Split::Train);
        let data = Mnist::open(&[dir.path().into()], Split::Train).unwrap();
        assert_eq!((data.len(), data.classes(), data.label(11)), (12, 10, 1));
        let picture = image(&data, 5);
        for (at, &got) in picture.iter().enumerate() {
            let (y, x) = (at / 32, at % 32);
            let inside = (2..30).contains(&y) && (2..30).contains(&x);
            let byte = if inside { pixel(5, (y - 2) * 28 + x - 2) } else { 0 };
            assert_eq!(got, f32::from(byte) / 127.5 - 1.0, "at {y}, {x}");
        }
    }

    #[test]
    fn the_search_goes_through_the_folders_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| dir.path().join(name);
        write_mnist(&folder("b/mnist"), 3, Split::Train);
        write_mnist(&folder("c"), 4, Split::Train);
        write_mnist(&folder("c"), 5, Split::Test);
        write_mnist(&folder("d/MNIST/raw"), 6, Split::Train);
        let len = |names: &[&str], split| {
            let folders: Vec<PathBuf> = names.iter().map(|n| folder(n)).collect();
            Mnist::open(&folders, split).map(|data| data.len())
        };
        assert_eq!(len(&["a", "b", "c"], Split::Train).unwrap(), 3);
        assert_eq!(len(&["c", "b"], Split::Train).unwrap(), 4);
        assert_eq!(len(&["b", "c"], Split::Test).unwrap(), 5);
        assert_eq!(len(&["d"], Split::Train).unwrap(), 6);

        fs::remove_file(folder("c/t10k-labels-idx1-ubyte.gz")).unwrap();
        let error = len(&["a", "b", "c"], Split::Test).unwrap_err();
        assert!(matches!(error, Error::NotFound(_)));
        let text = error.to_string();
        for part in [
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
            "--data-dir",
            "ddgan data fetch mnist",
            "without the labels",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        for name in ["a", "a/mnist", "b", "b/mnist", "c", "c/mnist"] {
            assert!(text.contains(&format!("{}: ", folder(name).display())), "{name} is not in: {text}");
        }
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("images"), idx_bytes(&[2, 28, 28], &[0; 1568])).unwrap();
        fs::write(path("small"), idx_bytes(&[2, 8, 8], &[0; 128])).unwrap();
        fs::write(path("none"), idx_bytes(&[0, 28, 28], &[])).unwrap();
        fs::write(path("labels"), idx_bytes(&[2], &[1, 9])).unwrap();
        fs::write(path("three"), idx_bytes(&[3], &[1, 9, 3])).unwrap();
        fs::write(path("letters"), idx_bytes(&[2], &[1, 10])).unwrap();
        let read = |images, labels| Mnist::read(&path(images), &path(labels)).map(|_| ());
        read("images", "labels").unwrap();
        for (images, labels, part) in [
            ("images", "three", "3 labels for the 2 pictures"),
            ("images", "letters", "label 1 is 10"),
            ("small", "labels", "8x8"),
            ("none", "labels", "no pictures"),
            ("labels", "images", "mixed up"),
        ] {
            let error = read(images, labels).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn stacked_digits_use_every_digit_twice_a_channel() {
        let dir = tempfile::tempdir().unwrap();
        let n = 50;
        write_mnist(&dir.path().join("mnist"), n, Split::Train);
        let open = |seed| StackMnist::new(Mnist::open(&[dir.path().into()], Split::Train).unwrap(), seed);
        let (data, again, other) = (open(1), open(1), open(2));
        assert_eq!((data.len(), data.classes(), data.shape().channels), (2 * n, 1000, 3));
        let triples = |data: &StackMnist| (0..data.len()).map(|i| data.triple(i)).collect::<Vec<_>>();
        assert_eq!(triples(&data), triples(&again));
        assert_ne!(triples(&data), triples(&other));
        for channel in 0..3 {
            for half in triples(&data).chunks(n) {
                let mut used: Vec<usize> = half.iter().map(|triple| triple[channel]).collect();
                assert!(!used.is_sorted());
                used.sort();
                assert!(used.into_iter().eq(0..n));
            }
        }
        let grey = Mnist::open(&[dir.path().into()], Split::Train).unwrap();
        for i in [0, 57, 99] {
            let triple = data.triple(i);
            assert_ne!(triple[0], triple[1]);
            let [r, g, b] = triple.map(|digit| digit as u32 % 10);
            assert_eq!(data.label(i), 100 * r + 10 * g + b);
            let picture = image(&data, i);
            for (channel, digit) in triple.into_iter().enumerate() {
                assert!(picture.iter().skip(channel).step_by(3).eq(&image(&grey, digit)));
            }
        }
    }

    #[test]
    fn sets_are_opened_by_name() {
        let dir = tempfile::tempdir().unwrap();
        write_mnist(dir.path(), 7, Split::Train);
        let open = |name: &str, data_dir: &Path| {
            data::open(&DataSpec { name: name.into(), data_dir: Some(data_dir.into()), ..DataSpec::default() })
        };
        for (name, len) in [("digits", 60_000), ("mnist", 7), ("stackmnist", 14)] {
            let data = open(name, dir.path()).unwrap();
            assert_eq!((data.name(), data.len()), (name, len));
        }
        assert!(open("minst", dir.path()).err().unwrap().to_string().contains("digits, mnist, stackmnist"));
        assert!(matches!(open("mnist", &dir.path().join("typo")), Err(Error::NotFound(_))));
    }
}

mod digits {
    use super::*;

    /// FNV-1a over the first 1,000 pictures. It changes when a pixel does, and then every recorded training on
    /// `digits` changes with it.
    #[test]
    fn pictures_are_the_recorded_ones() {
        let data = Digits::new(Split::Train, 0);
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in (0..1000).flat_map(|i| data.draw(i)) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        assert_eq!(hash, 0x5644_10b8_fec7_d101, "got {hash:#018x}");
    }

    #[test]
    fn no_two_pictures_are_alike() {
        let mut seen = std::collections::HashSet::new();
        for data in [Digits::new(Split::Train, 0), Digits::new(Split::Test, 0), Digits::new(Split::Train, 1)] {
            assert!((0..1000).all(|i| seen.insert(data.draw(i))));
        }
    }

    /// Each picture has some ink, and none is cut off: the border of the 28x28 touches it at most in a few pixels.
    #[test]
    fn pictures_hold_a_whole_digit() {
        let data = Digits::new(Split::Train, 0);
        for i in 0..5000 {
            let picture = data.draw(i);
            let ink = picture.iter().map(|&b| f64::from(b)).sum::<f64>() / 255.0;
            assert!((20.0..350.0).contains(&ink), "picture {i} has {ink} pixels of ink");
            let border =
                (0..28).flat_map(|k| [picture[k], picture[27 * 28 + k], picture[28 * k], picture[28 * k + 27]]);
            let cut = border.filter(|&b| b > 128).count();
            assert!(cut <= 6, "picture {i} has {cut} inked pixels at its border");
        }
    }

    /// The classes are what their labels say, as far as the simplest classifier can tell: the nearest of ten mean
    /// pictures is right for 0.85 of the test set (chance is 0.1; it reaches 0.82 on MNIST).
    #[test]
    fn classes_can_be_told_apart() {
        let (train, test) = (Digits::new(Split::Train, 0), Digits::new(Split::Test, 0));
        let mut means = vec![[0.0f32; 784]; 10];
        for i in 0..5000 {
            let mean = &mut means[train.label(i) as usize];
            mean.iter_mut().zip(train.draw(i)).for_each(|(m, byte)| *m += f32::from(byte) / 500.0);
        }
        let right = (0..1000).filter(|&i| {
            let picture = test.draw(i);
            let distance = |mean: &[f32; 784]| -> f32 {
                mean.iter().zip(picture).map(|(m, byte)| (m - f32::from(byte)).powi(2)).sum()
            };
            let nearest = (0..10).min_by(|&a, &b| distance(&means[a]).total_cmp(&distance(&means[b]))).unwrap();
            nearest as u32 == test.label(i)
        });
        let accuracy = right.count() as f64 / 1000.0;
        assert!(accuracy > 0.8, "accuracy {accuracy}");
    }
}
