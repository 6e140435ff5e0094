//! Damaged files by the thousand for every parser: whatever a file holds, there is a value or an error.
//!
//! `cargo test` tries a few hundred inputs a parser. As many as are asked for, and a process each so that it also sees
//! that none of them ever takes more than 1 GiB, with files that never reach a disk:
//!
//!     for parser in $(cargo test --test suite -- --list fuzz:: | sed -n 's/: test$//p'); do
//!         TMPDIR=/dev/shm DDGAN_FUZZ_INPUTS=1000000 cargo test --test suite -- --exact --nocapture $parser
//!     done

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ddgan::checkpoint::pth::Pth;
use ddgan::checkpoint::safetensors::{self, Reader};
use ddgan::checkpoint::{FORMAT, Header, Tensors};
use ddgan::data::idx::Idx;
use ddgan::data::lmdb::Environment;
use ddgan::data::picture::{Fit, Picture};
use ddgan::data::rng::{Philox, Purpose};
use ddgan::data::{Cifar10, Dataset, Folder};
use ddgan::pickle::Pickle;
use ddgan::tensor::Tensor;
use ddgan::train::{Footprint, Layer, TrainConfig, preset};
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::Rng;

/// Damages whole files in the ways that find most faults: bits, lengths and counts, pieces that are missing, twice, or
/// from another file.
struct Damage {
    random: Philox,
    whole: Vec<Vec<u8>>,
}

/// What parsers trip over where they expect a count, a length or a place.
const NUMBERS: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];

impl Damage {
    fn below(&mut self, n: usize) -> usize {
        (self.random.next_u64() % n.max(1) as u64) as usize
    }

    fn next(&mut self) -> Vec<u8> {
        let which = self.below(self.whole.len());
        let mut bytes = self.whole[which].clone();
        for _ in 0..1 + self.below(6) {
            self.once(&mut bytes);
        }
        bytes
    }

    fn once(&mut self, bytes: &mut Vec<u8>) {
        // Headers are where parsers decide, and a zip's are at its end.
        let at = match self.below(6) {
            0 | 1 => self.below(bytes.len()),
            2 => bytes.len() - bytes.len().min(1 + self.below(512)),
            reach => self.below(bytes.len().min([256, 1024, 8192][reach - 3])),
        };
        let longest = 1 << self.below(9);
        let length = 1 + self.below(longest);
        let end = bytes.len().min(at + length);
        match self.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.random.next_u32() as u8,
            2 | 3 => {
                let number = NUMBERS[self.below(NUMBERS.len())];
                let number = if self.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
                let width = 1 << self.below(4);
                let start = if self.below(2) == 0 { 0 } else { 8 - width };
                for (byte, value) in bytes.iter_mut().skip(at).zip(&number[start..start + width]) {
                    *byte = *value;
                }
            }
            4 => drop(bytes.drain(at..end)),
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let other = self.below(self.whole.len());
                let other = &self.whole[other];
                let from = (self.random.next_u64() % other.len().max(1) as u64) as usize;
                let piece = other[from..other.len().min(from + length)].to_vec();
                bytes.splice(at..end, piece);
            }
            _ => bytes.truncate(at),
        }
    }
}

/// Gives `parse` damaged versions of whole files, which it must accept undamaged.
fn fuzz(whole: Vec<Vec<u8>>, mut parse: impl FnMut(&[u8]) -> ddgan::Result<()>) {
    let asked: Option<u64> = std::env::var("DDGAN_FUZZ_INPUTS").ok().map(|n| n.parse().expect("DDGAN_FUZZ_INPUTS"));
    for bytes in &whole {
        parse(bytes).expect("a whole file");
    }
    let mut damage = Damage { random: Philox::new(Purpose::Shuffle.key(17, 0)), whole };
    let (mut accepted, inputs) = (0, asked.unwrap_or(300));
    let started = Instant::now();
    for _ in 0..inputs {
        let bytes = damage.next();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| parse(&bytes))) {
            Ok(result) => accepted += u64::from(result.is_ok()),
            Err(panic) => {
                let kept = std::env::temp_dir().join("ddgan-fuzz-input");
                fs::write(&kept, &bytes).unwrap();
                eprintln!("the input is kept in {}", kept.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
    let peak = ddgan::train::peak_memory_mib();
    let (mib, seconds) = (peak.unwrap_or(f64::NAN), started.elapsed().as_secs_f64());
    println!("{inputs} inputs in {seconds:.0} s, {accepted} of them accepted, peak memory {mib:.0} MiB");
    assert!(accepted < inputs, "nothing was damaged");
    if asked.is_some() {
        assert!(peak.is_none_or(|mib| mib < 1024.0), "{peak:?} MiB");
    }
}

/// As [`fuzz`], for a parser that reads a file of this name.
fn fuzz_file(name: &str, whole: Vec<Vec<u8>>, parse: impl Fn(&Path) -> ddgan::Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fuzz(whole, |bytes| {
        fs::write(&path, bytes).unwrap();
        parse(&path)
    });
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

#[test]
fn idx() {
    let idx = |dims: &[u32]| {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        bytes.extend(dims.iter().flat_map(|n| n.to_be_bytes()));
        bytes.extend((0..dims.iter().product::<u32>()).map(|i| i as u8));
        bytes
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&idx(&[2, 28, 28])).unwrap();
    let whole = vec![idx(&[3, 5, 7]), idx(&[2, 28, 28]), gzip.finish().unwrap()];
    fuzz_file("images", whole, |path| Idx::read(path, 3).map(drop));
}

#[test]
fn cifar_binary() {
    let records: Vec<u8> = (0..2 * 3073).map(|i| if i % 3073 == 0 { 7 } else { i as u8 }).collect();
    fuzz_file("data_batch_1.bin", vec![records], |path| Cifar10::read(&[path.to_path_buf()]).map(drop));
}

#[test]
fn cifar_pickle() {
    let whole = vec![super::cifar::pickled(0..1), super::cifar::pickled(3..5)];
    fuzz_file("data_batch_1", whole, |path| Cifar10::read(&[path.to_path_buf()]).map(drop));
}

#[test]
fn pickle() {
    let whole = super::pickle::PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    fuzz(whole, |bytes| {
        Pickle::read(&mut &bytes[..], "some-file").map(|pickle| pickle.values().for_each(|v| drop(v.describe())))
    });
}

/// Every number of every tensor, and what stands around networks in a `content.pth`.
fn read_pth(path: &Path) -> ddgan::Result<()> {
    let pth = Pth::open(path)?;
    if let Some(content) = pth.content()? {
        content.average()?;
        content.generator_optimizer.kept("exp_avg")?;
    }
    let mut tensors = pth.generator()?;
    let numbers: Vec<String> = tensors.names().into_iter().filter(|name| tensors.is_float(name)).collect();
    numbers.iter().try_for_each(|name| tensors.read(name).map(drop))
}

#[test]
fn pth_zip() {
    fuzz_file("netG_1.pth", vec![fixture("torch_types.pth")], read_pth);
}

#[test]
fn pth_content() {
    fuzz_file("content.pth", vec![super::pth::tiny_content()], read_pth);
}

#[test]
fn pth_legacy() {
    fuzz_file("content.pth", vec![super::pth::tiny_legacy()], read_pth);
}

#[test]
fn safetensors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole");
    let tensors = [("a.weight", vec![2, 3, 3, 4]), ("a.bias", vec![5])];
    let tensors = tensors.map(|(name, shape)| {
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
        (name.to_string(), Tensor::from_f32(&values, shape))
    });
    safetensors::write(&path, ("kind", "some".into()), &tensors).unwrap();
    fuzz_file(
        "checkpoint.safetensors",
        vec![fs::read(&path).unwrap(), fixture("schedule_T4_vp.safetensors")],
        |path| {
            let mut reader = Reader::open(path)?;
            reader.verify()?;
            reader.names().iter().try_for_each(|name| reader.read(name).map(drop))
        },
    );
}

/// The header of a training's checkpoint, up to where its tensors are compared with its networks.
#[test]
fn checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole");
    let config = preset("digits").unwrap();
    let header = Header { format: FORMAT, step: 3, epoch: 1, seed: 5, pictures: Some(9), updates: None, config };
    header.write(&path, &[("g.param.a".into(), Tensor::from_f32(&[1.0], [1]))]).unwrap();
    fuzz_file("step-000003.safetensors", vec![fs::read(&path).unwrap()], |path| {
        let header: Header<TrainConfig> = Header::read(&Reader::open(path)?)?;
        header.config.validate()?;
        Footprint::of(&header.config).map(drop)
    });
}

#[test]
fn toml() {
    let whole = ["digits", "celeba256"].map(|name| preset(name).unwrap().to_toml().unwrap().into_bytes());
    fuzz_file("config.toml", whole.to_vec(), |path| {
        let config = preset("digits")?.overlaid(&[Layer::read(path)?])?;
        config.validate()?;
        Footprint::of(&config).map(drop)
    });
}

#[test]
fn lmdb() {
    fuzz_file("data.mdb", vec![fixture("lmdb/train.lmdb/data.mdb")], |path| {
        let environment = Environment::open(path)?;
        environment.records(usize::MAX)?.iter().try_for_each(|record| environment.read(record).map(drop))
    });
}

#[test]
fn picture_archives() {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("whole.zip");
    let mut archive = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for name in ["grey.png", "one_bit.png", "smooth_grey.jpg", "smooth.webp"] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&fixture(&format!("pictures/{name}"))).unwrap();
    }
    archive.finish().unwrap();
    fuzz_file("pictures.zip", vec![fs::read(&path).unwrap()], |path| {
        let data = Folder::open(path, Fit { size: Some(8), ..Default::default() })?;
        let mut out = vec![0.0; data.shape().len()];
        (0..data.len()).try_for_each(|index| data.image(index, &mut out))
    });
}

#[test]
fn pictures() {
    let names = [
        "alpha.png",
        "palette_4_bits.png",
        "grey_16_bits.png",
        "smooth.jpg",
        "smooth_cmyk.jpg",
        "smooth.webp",
        "colour.bmp",
    ];
    let whole = names.map(|name| fixture(&format!("pictures/{name}"))).to_vec();
    fuzz(whole, |bytes| {
        let decode = |bytes: &[u8]| Picture::decode(bytes).map(drop).map_err(ddgan::Error::config);
        decode(bytes).or_else(|_| decode(&with_right_checksums(bytes)))
    });
}

/// A png whose damage does not show in the checksums of its chunks.
fn with_right_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let end = at + 8 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(sum) = bytes.get(at + 4..end).map(crc32fast::hash) else { break };
        bytes.get_mut(end..end + 4).into_iter().for_each(|place| place.copy_from_slice(&sum.to_be_bytes()));
        at = end + 4;
    }
    bytes
}
