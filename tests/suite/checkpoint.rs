//! Safetensors files: what is written comes back, and damaged files are told apart.

use std::fs;

use ddgan::checkpoint::safetensors::{Reader, write};
use ddgan::checkpoint::{FORMAT, GENERATOR, Header, entries};
use ddgan::models::Generator;
use ddgan::sample::{Source, Which};
use ddgan::tensor::{DType, Device, Tensor};
use ddgan::train::preset;

fn example() -> Vec<(String, Tensor)> {
    vec![
        ("b.weight".into(), Tensor::from_f32(&[1.0, -2.5, f32::MIN_POSITIVE, 0.0, -0.0, 3e38], [2, 3])),
        ("a.scalar".into(), Tensor::from_f64(&[0.1], [])),
        ("c.none".into(), Tensor::from_f32(&[], [0, 4])),
    ]
}

#[test]
fn round_trip_is_exact_and_equal_content_gives_equal_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (path, again) = (dir.path().join("x.safetensors"), dir.path().join("y.safetensors"));
    write(&path, ("ddgan", "{\"step\":3}".into()), &example()).unwrap();
    write(&again, ("ddgan", "{\"step\":3}".into()), &example()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&again).unwrap());

    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.metadata("ddgan"), Some("{\"step\":3}"));
    assert_eq!(reader.metadata("other"), None);
    assert_eq!(reader.names().into_iter().collect::<Vec<_>>(), ["a.scalar", "b.weight", "c.none"]);
    for (name, tensor) in example() {
        let back = reader.read(&name).unwrap();
        assert_eq!((back.shape(), back.dtype()), (tensor.shape(), tensor.dtype()), "{name}");
        let bits = |t: &Tensor| t.to_f64().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&tensor), "{name}");
    }
    // The crate that defines the format reads it too.
    let bytes = fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("b.weight").unwrap().shape(), [2, 3]);
}

#[test]
fn damaged_files_are_errors_that_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.safetensors");
    write(&path, ("ddgan", String::new()), &example()).unwrap();
    let good = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let text = std::str::from_utf8(&good[8..header]).unwrap();
    let with_header = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        let changed = text.replace(from, to);
        [&(changed.len() as u64).to_le_bytes(), changed.as_bytes(), &good[header..]].concat()
    };
    let mut with_length = good.clone();
    with_length[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let cases: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("cut in the header", good[..40].to_vec()),
        ("cut in the numbers", good[..good.len() - 1].to_vec()),
        ("longer than its header says", [&good[..], b"x"].concat()),
        ("a header of 2^64 bytes", with_length),
        ("no safetensors file", b"a text that has nothing to do with it".to_vec()),
        ("overlapping tensors", with_header("[24,32]", "[16,32]")),
        ("a shape that does not fit its bytes", with_header("[2,3]", "[2,4]")),
        ("a shape whose size overflows", with_header("[2,3]", "[9223372036854775807,9223372036854775807]")),
    ];
    for (what, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        let error = Reader::open(&path).expect_err(what).to_string();
        assert!(error.contains("damaged.safetensors"), "{what}: {error}");
    }
    let mut one_bit = good.clone();
    one_bit[header + 5] ^= 0x10;
    fs::write(&path, one_bit).unwrap();
    let error = Reader::open(&path).unwrap().verify().unwrap_err().to_string();
    assert!(error.contains("damaged.safetensors") && error.contains("checksum"), "{error}");

    fs::write(&path, &good).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    reader.verify().unwrap();
    let missing = reader.read("d.missing").unwrap_err().to_string();
    assert!(missing.contains("has no tensor `d.missing`"), "{missing}");
    assert!(reader.read_i64("b.weight").unwrap_err().to_string().contains("expected I64"));
}

/// Terabytes, if they were allocated.
#[test]
fn a_header_may_claim_a_network_that_no_memory_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("claims.safetensors");
    let mut config = preset("digits").unwrap();
    let generator = Generator::new(&config.generator, 0, DType::F32, &Device::Cpu).unwrap();
    let tensors: Vec<_> = entries(GENERATOR, generator.params()).collect();
    let mut open = |width: usize| {
        config.generator.num_channels_dae = width;
        let config = config.clone();
        let header = Header { format: FORMAT, step: 1, epoch: 0, seed: 0, pictures: None, updates: None, config };
        header.write(&path, &tensors).unwrap();
        Source::open(&path, Which::Newest, false, DType::F32, &Device::Cpu)
    };
    assert!(open(16).is_ok());
    let error = open(1 << 16).err().expect("an error").to_string();
    assert!(error.contains("claims.safetensors") && error.contains("do not fit"), "{error}");
}
