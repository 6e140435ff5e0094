//! LMDBs that py-lmdb wrote (tests/fixtures/make_lmdb.py), and damaged ones.

use ddgan::data::lmdb::Environment;
use ddgan::data::{self, DataSpec, Dataset, Fit, LmdbPictures, Split};
use ddgan::sample::grid::unit_to_byte;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lmdb")
}

fn data_file(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name).join("data.mdb")).unwrap()
}

const CELEBA: &str = "train.lmdb";
const LSUN: &str = "church_outdoor_train_lmdb";

/// The value of key `i` in the LMDB of CelebA-HQ.
fn raw(i: usize) -> Vec<u8> {
    let side = if i.is_multiple_of(13) { 40 } else { 8 + i % 5 };
    (0..3 * side * side).map(|at| (31 * i + 7 * at) as u8).collect()
}

fn bytes(data: &dyn Dataset, index: usize) -> Vec<u8> {
    let mut out = vec![f32::NAN; data.shape().len()];
    data.image(index, &mut out).unwrap();
    out.into_iter().map(unit_to_byte).collect()
}

#[test]
fn every_entry_is_found_in_the_order_of_the_keys() {
    let environment = Environment::open(fixtures().join(CELEBA)).unwrap();
    assert_eq!(environment.entries(), 40);
    let records = environment.records(usize::MAX).unwrap();
    let keys: Vec<String> = records.iter().map(|r| String::from_utf8(r.key.to_vec()).unwrap()).collect();
    let mut want: Vec<String> = (0..40).map(|i| i.to_string()).collect();
    want.sort();
    assert_eq!(keys, want);
    for record in &records {
        let i: usize = std::str::from_utf8(&record.key).unwrap().parse().unwrap();
        assert_eq!(environment.read(record).unwrap(), raw(i), "{i}");
    }
    assert_eq!(environment.records(7).unwrap(), records[..7]);
    // The file itself will do.
    assert_eq!(
        Environment::open(fixtures().join(LSUN).join("data.mdb")).unwrap().records(usize::MAX).unwrap().len(),
        80
    );
}

#[test]
fn the_layouts_of_the_published_program_are_read() {
    let open = |name: &str, data_dir: PathBuf| {
        data::open(&DataSpec { name: name.into(), data_dir: Some(data_dir), ..Default::default() }).unwrap()
    };
    // Raw pictures by number; the shape is the first one's.
    let data = open("celeba_256", fixtures());
    assert_eq!((data.name(), data.len(), data.shape().height, data.flip_by_default()), ("celeba_256", 40, 40, true));
    for i in [0, 13, 39] {
        assert_eq!(bytes(&*data, i), raw(i));
    }
    // Encoded ones by their place.
    for data in [open("lsun", fixtures()), open("lsun", fixtures().join(LSUN))] {
        assert_eq!((data.name(), data.len(), data.shape().len()), ("lsun", 80, 3));
        for i in [0, 1, 79] {
            assert_eq!(bytes(&*data, i), [3 * i as u8; 3]);
        }
    }
    let fit = Fit { size: Some(4), channels: Some(1), ..Default::default() };
    let small = LmdbPictures::celeba(&[fixtures()], Split::Train, fit).unwrap();
    assert_eq!(bytes(&small, 5).len(), 16);
}

#[test]
fn another_layout_is_an_error_that_says_what_is_there() {
    let error = |dir: &Path, name: &str| {
        let spec = DataSpec { name: name.into(), data_dir: Some(dir.into()), split: Split::Test, ..Default::default() };
        data::open(&spec).err().unwrap().to_string()
    };
    let text = error(&fixtures(), "celeba_256");
    for part in
        ["validation.lmdb", "not there, but church_outdoor_train_lmdb, train.lmdb", "no such folder", "--data-dir"]
    {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(error(&fixtures(), "lsun").contains("church_outdoor_val_lmdb"));
    // Keys of LSUN where those of CelebA-HQ should be.
    let text = error(&fixtures().join(LSUN), "celeba_256");
    assert!(text.contains("has the key \"000xxx") && text.contains("expected \"0\" to \"79\""), "{text}");
    assert!(text.contains("use --dataset lsun") && text.lines().all(|line| line.len() < 400), "{text}");
}

/// Opens a damaged copy and reads everything; the first error, if there is one.
fn read_all(bytes: &[u8]) -> ddgan::Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.mdb");
    fs::write(&path, bytes).unwrap();
    let environment = Environment::open(&path)?;
    for record in environment.records(1000)? {
        environment.read(&record)?;
    }
    Ok(())
}

fn error(bytes: &[u8]) -> String {
    let text = read_all(bytes).unwrap_err().to_string();
    assert!(text.contains("data.mdb: "), "{text}");
    text
}

/// Byte `at` of the page that the last transaction made the root.
fn root(file: &[u8]) -> usize {
    let number = |at: usize| u64::from_le_bytes(file[at..][..8].try_into().unwrap());
    let meta = if number(4096 + 144) > number(144) { 4096 } else { 0 };
    number(meta + 128) as usize * 4096
}

#[test]
fn damage_is_said() {
    let whole = data_file(LSUN);
    read_all(&whole).unwrap();
    assert!(error(b"").contains("first pages"));
    assert!(error(&whole[..4096]).contains("first pages"));
    assert!(error(&[0; 10_000]).contains("no data file of LMDB"));
    for pages in [2, 5, 12] {
        assert!(error(&whole[..pages * 4096]).contains("cut short"), "{pages} pages");
    }
    // The number behind the magic one, in both meta pages.
    let mut version = whole.clone();
    [20, 4096 + 20].into_iter().for_each(|at| version[at] = 2);
    assert!(error(&version).contains("version 2"));
    let mut several = whole.clone();
    [92, 4096 + 92].into_iter().for_each(|at| several[at] = 4);
    assert!(error(&several).contains("keys with several values"));
    // The first node of every leaf is a database of its own.
    let mut nested = whole.clone();
    for page in nested.chunks_exact_mut(4096).filter(|page| page[10..12] == [2, 0]) {
        let node = usize::from(u16::from_le_bytes([page[16], page[17]]));
        page[node + 4] = 2;
    }
    assert!(error(&nested).contains("named databases"));
    // The root's first child is the root.
    let mut circle = whole.clone();
    let at = root(&whole);
    let node = at + usize::from(u16::from_le_bytes([whole[at + 16], whole[at + 17]]));
    circle[node..node + 6].copy_from_slice(&((at / 4096) as u64).to_le_bytes()[..6]);
    assert!(error(&circle).contains("in circles"));
    // A child far beyond the end, a page that is no page, a node outside of its page.
    let mut far = whole.clone();
    far[node + 5] = 0x7f;
    assert!(error(&far).contains("beyond its end"));
    let mut empty = whole.clone();
    empty[at..at + 16].fill(0);
    assert!(error(&empty).contains(&format!("page {}", at / 4096)));
    let mut outside = whole.clone();
    outside[at + 17] = 0xff;
    assert!(error(&outside).contains(&format!("page {}", at / 4096)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_damage_breaks_the_reader(
        celeba in any::<bool>(),
        // In the part of a page where its header, the list of its nodes, and what matters of meta pages lie.
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..160usize, any::<u8>()), 1..40)
    ) {
        let mut bytes = data_file(if celeba { CELEBA } else { LSUN });
        let pages = bytes.len() / 4096;
        for (page, at, byte) in damage {
            bytes[page.index(pages) * 4096 + at] ^= byte;
        }
        let _ = read_all(&bytes);
    }
}
