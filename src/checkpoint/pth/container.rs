//! The two containers of `torch.save`.
//!
//! | since | container | the pickle | the numbers of storage K |
//! |---|---|---|---|
//! | 1.6 | a zip archive, nothing compressed | entry `NAME/data.pkl` | entry `NAME/data/K` |
//! | the beginning | pickles of a magic number, of a version and of the machine's properties, then | the next pickle | after one more pickle, a list of keys: for each its number of elements in 8 bytes, then the elements |

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::tensor::StorageRef;
use crate::error::{Error, IoContext, Result};
use crate::pickle::{Pickle, Value};

const LEGACY_MAGIC: u128 = 0x1950a86a20f9469cfc6c;
const LEGACY_VERSION: u32 = 1001;
const BUFFER: usize = 1 << 16;

/// The pickle of a file, and where its storages are.
type Opened = (Pickle, HashMap<String, Range<u64>>);

#[derive(Clone, Copy)]
pub enum Container {
    Zip,
    Legacy,
}

/// Which container a file begins as.
pub fn kind(mut file: &File, path: &Path) -> Result<Option<Container>> {
    let mut start = Vec::new();
    file.rewind().and_then(|_| file.take(4).read_to_end(&mut start)).at(path, "read")?;
    file.rewind().at(path, "read")?;
    Ok(match &start[..] {
        b"PK\x03\x04" => Some(Container::Zip),
        // A pickle of protocol 2 that begins with an integer of ten bytes.
        b"\x80\x02\x8a\x0a" => Some(Container::Legacy),
        _ => None,
    })
}

pub fn open(file: &File, length: u64, path: &Path) -> Result<Opened> {
    match kind(file, path)? {
        Some(Container::Zip) => zip_archive(file, length, path),
        Some(Container::Legacy) => legacy_stream(file, length, path),
        None => Err(foreign(path)),
    }
}

fn foreign(path: &Path) -> Error {
    Error::format(path, "is no file of PyTorch's torch.save, neither a zip archive nor a stream with its magic number")
}

fn zip_archive(file: &File, length: u64, path: &Path) -> Result<Opened> {
    let bad = |what: &str| Error::format(path, format!("is not a whole file of torch.save: {what}"));
    let wrong = |e: ZipError| match e {
        ZipError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            Error::Io { path: path.to_path_buf(), action: "read", source }
        }
        other => bad(&format!("its zip archive: {other}")),
    };
    let mut archive = ZipArchive::new(BufReader::with_capacity(BUFFER, file)).map_err(wrong)?;
    let mut places = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(wrong)?;
        let name = entry.name().map_err(wrong)?.into_owned();
        if entry.compression() != CompressionMethod::Stored || entry.size() != entry.compressed_size() {
            return Err(bad(&format!(
                "its entry {name} is compressed from {} bytes to {}, and torch.save compresses nothing; unpack the \
                 archive and pack it again without compression",
                entry.size(),
                entry.compressed_size(),
            )));
        }
        let start = entry.data_start().unwrap_or(length);
        let end = start.checked_add(entry.size()).filter(|&end| end <= length);
        let end = end.ok_or_else(|| bad(&format!("its entry {name} goes beyond its end")))?;
        places.insert(name, start..end);
    }
    let mut roots =
        places.keys().filter_map(|name| name.strip_suffix("data.pkl")).filter(|r| r.matches('/').count() < 2);
    let (Some(root), None) = (roots.next().map(str::to_owned), roots.next()) else {
        return Err(bad("a zip archive needs one entry NAME/data.pkl"));
    };
    if let Some(place) = places.get(&format!("{root}byteorder")) {
        refuse_big_endian(read(file, place, path)?.as_slice() == b"big", path)?;
    }
    let pickle = &places[&format!("{root}data.pkl")];
    let mut reader = file;
    reader.seek(SeekFrom::Start(pickle.start)).at(path, "read")?;
    let mut reader = BufReader::with_capacity(BUFFER, reader.take(pickle.end - pickle.start));
    let pickle = Pickle::read(&mut reader, path)?;
    let data = format!("{root}data/");
    let storages = places.into_iter().filter_map(|(name, place)| Some((name.strip_prefix(&data)?.to_owned(), place)));
    Ok((pickle, storages.collect()))
}

fn read(file: &File, place: &Range<u64>, path: &Path) -> Result<Vec<u8>> {
    let mut reader = file;
    let mut bytes = vec![0; (place.end - place.start) as usize];
    reader.seek(SeekFrom::Start(place.start)).and_then(|_| reader.read_exact(&mut bytes)).at(path, "read")?;
    Ok(bytes)
}

fn legacy_stream(file: &File, length: u64, path: &Path) -> Result<Opened> {
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let magic = Pickle::read(&mut reader, path)?;
    if magic.root().int() != Some(LEGACY_MAGIC) {
        return Err(foreign(path));
    }
    let version = Pickle::read(&mut reader, path)?;
    if version.root().int() != Some(LEGACY_VERSION) {
        let version = version.root().describe();
        return Err(Error::format(path, format!("has protocol {version} of torch.save, known is {LEGACY_VERSION}")));
    }
    let machine = Pickle::read(&mut reader, path)?;
    refuse_big_endian(machine.root().get("little_endian").and_then(Value::bool) == Some(false), path)?;
    let pickle = Pickle::read(&mut reader, path)?;
    let keys = Pickle::read(&mut reader, path)?;

    let mut element_sizes = HashMap::new();
    for storage in pickle.values().filter_map(Value::persistent) {
        let storage = StorageRef::parse(storage).map_err(|what| Error::format(path, what))?;
        element_sizes.insert(storage.key, storage.scalar.size() as u64);
    }
    let bad = |what: String| Error::format(path, format!("is not a whole file of torch.save: {what}"));
    let keys = keys.root().items().ok_or_else(|| bad("its list of storages is missing".into()))?;
    let mut storages = HashMap::new();
    for key in keys {
        let key = key.text().ok_or_else(|| bad(format!("a storage is called {}", key.describe())))?;
        let Some(size) = element_sizes.get(key) else { return Err(bad(format!("no tensor uses storage {key}"))) };
        let mut count = [0; 8];
        reader.read_exact(&mut count).map_err(|_| bad(format!("it ends before storage {key}")))?;
        let start = reader.stream_position().at(path, "read")?;
        let end = u64::from_le_bytes(count).checked_mul(*size).and_then(|bytes| start.checked_add(bytes));
        let end = end.filter(|&end| end <= length).ok_or_else(|| bad(format!("storage {key} goes beyond its end")))?;
        reader.seek_relative((end - start) as i64).at(path, "read")?;
        storages.insert(key.to_owned(), start..end);
    }
    Ok((pickle, storages))
}

fn refuse_big_endian(big: bool, path: &Path) -> Result<()> {
    let what = "was written by a big-endian machine, which is not supported; load it in PyTorch on a little-endian one \
                and save it again";
    if big { Err(Error::format(path, what)) } else { Ok(()) }
}
