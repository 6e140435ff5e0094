//! CelebA-HQ and LSUN in the LMDBs that the published program reads.

use super::lmdb::{DATA_FILE, Environment, Record};
use super::picture::{Filter, Fit, Picture};
use super::{Dataset, ImageShape, MAX_PICTURE, Split, first_found};
use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The published program takes the first pictures of LSUN Church in the order of their keys.
const LSUN_PICTURES: usize = 120_000;

/// The values of an LMDB as pictures: png, jpeg or webp files, or bytes [H, H, 3].
pub struct LmdbPictures {
    name: &'static str,
    environment: Environment,
    records: Vec<Record>,
    encoded: bool,
    shape: ImageShape,
    filter: Filter,
}

impl LmdbPictures {
    /// CelebA-HQ: `train.lmdb` (27,000 pictures) or `validation.lmdb` (3,000), whose keys are the decimal numbers from
    /// 0 on, in the first of the folders, or their `celeba-lmdb`, `celeba_256` and `celeba256`, that has it. If the
    /// first folder is itself an LMDB, that is taken.
    ///
    /// Errors: it is not found; no LMDB, a damaged one, one with other keys; a first picture that cannot be read.
    pub fn celeba(folders: &[PathBuf], split: Split, fit: Fit) -> Result<LmdbPictures> {
        let places = ["", "celeba-lmdb", "celeba_256", "celeba256"];
        let name = if split == Split::Train { "train.lmdb" } else { "validation.lmdb" };
        let environment = find("CelebA-HQ", folders, &places, name)?;
        let mut records = environment.records(usize::MAX)?;
        let count = records.len();
        let number = |record: &Record| {
            let number = std::str::from_utf8(&record.key).ok().and_then(|key| key.parse::<usize>().ok());
            number.filter(|&n| n < count && n.to_string().as_bytes() == &*record.key)
        };
        // Keys differ, so if all are numbers below their count, none is missing.
        if let Some(other) = records.iter().find(|record| number(record).is_none()) {
            let key = other.key[..other.key.len().min(40)].escape_ascii();
            let expected = format!("expected \"0\" to \"{}\" for CelebA-HQ", count - 1);
            let what = format!("has the key \"{key}\", {expected}; if it is of another data set, use --dataset lsun");
            return Err(Error::format(environment.path(), what));
        }
        records.sort_by_cached_key(number);
        LmdbPictures::new("celeba_256", environment, records, fit)
    }

    /// LSUN Church: `church_outdoor_train_lmdb`, of which the first 120,000 pictures are used, or
    /// `church_outdoor_val_lmdb`, in the first of the folders, or their `lsun`, that has it. If the first folder is
    /// itself an LMDB, that is taken, so any category can be used.
    ///
    /// Errors: it is not found; no LMDB, a damaged one; a first picture that cannot be read.
    pub fn lsun(folders: &[PathBuf], split: Split, fit: Fit) -> Result<LmdbPictures> {
        let name = if split == Split::Train { "church_outdoor_train_lmdb" } else { "church_outdoor_val_lmdb" };
        let environment = find("LSUN Church", folders, &["", "lsun"], name)?;
        let records = environment.records(LSUN_PICTURES)?;
        LmdbPictures::new("lsun", environment, records, fit)
    }

    fn new(name: &'static str, environment: Environment, records: Vec<Record>, fit: Fit) -> Result<LmdbPictures> {
        let Some(first) = records.first() else {
            return Err(Error::format(environment.path(), "is an LMDB without entries"));
        };
        // Which of the two forms it is, the first value says.
        let bytes = read(&environment, first)?;
        let (encoded, first) = match (Picture::decode(&bytes), raw(bytes)) {
            (Ok(picture), _) => (true, picture),
            (Err(_), Ok(picture)) => (false, picture),
            (Err(what), Err(_)) => return Err(wrong(&environment, first, &format!("{what}; nor raw bytes [H, H, 3]"))),
        };
        let shape = fit.shape(first.shape)?;
        Ok(LmdbPictures { name, environment, records, encoded, shape, filter: fit.filter })
    }

    fn picture(&self, index: usize) -> Result<Picture> {
        let record = &self.records[index];
        let bytes = read(&self.environment, record)?;
        let picture = if self.encoded { Picture::decode(&bytes) } else { raw(bytes) };
        picture.map_err(|what| wrong(&self.environment, record, &what))
    }
}

fn read(environment: &Environment, record: &Record) -> Result<Vec<u8>> {
    if record.size() > MAX_PICTURE {
        return Err(wrong(environment, record, "is larger than the 256 MiB that are read of a picture"));
    }
    environment.read(record)
}

/// A square of red, green and blue bytes.
fn raw(pixels: Vec<u8>) -> std::result::Result<Picture, String> {
    let side = (pixels.len() / 3).isqrt();
    if side == 0 || 3 * side * side != pixels.len() {
        return Err(format!("has {} bytes, expected those of a square [H, H, 3]", pixels.len()));
    }
    Ok(Picture { shape: ImageShape { height: side, width: side, channels: 3 }, pixels })
}

fn wrong(environment: &Environment, record: &Record, what: &str) -> Error {
    Error::format(environment.path(), format!("the value of \"{}\" {what}", record.key.escape_ascii()))
}

/// The environment `name` in one of the places of one of the folders, unless the first folder is one itself.
fn find(title: &str, folders: &[PathBuf], places: &[&str], name: &str) -> Result<Environment> {
    if let Some(folder) = folders.first().filter(|folder| folder.join(DATA_FILE).is_file()) {
        return Environment::open(folder);
    }
    let all = folders.iter().flat_map(|folder| places.iter().map(|place| folder.join(place)));
    let found = first_found(all, |folder| {
        let path = folder.join(name);
        if path.exists() { Ok(path) } else { Err(other_environments(folder)) }
    });
    let path = found.map_err(|looked| {
        Error::NotFound(format!(
            "{title} was not found. Looked for the LMDB {name} in{looked}\n\
             Name its folder with --data-dir or $DDGAN_DATA."
        ))
    })?;
    Environment::open(path)
}

/// What a folder without the right LMDB has instead.
fn other_environments(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with("mdb"));
    names.sort();
    names.truncate(5);
    if names.is_empty() { "not there".into() } else { format!("not there, but {}", names.join(", ")) }
}

impl Dataset for LmdbPictures {
    fn name(&self) -> &str {
        self.name
    }

    fn origin(&self) -> String {
        self.environment.path().display().to_string()
    }

    fn len(&self) -> usize {
        self.records.len()
    }

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> usize {
        1
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn flip_by_default(&self) -> bool {
        true
    }

    fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        self.picture(index)?.write(self.shape, self.filter, out);
        Ok(())
    }
}
