//! Reading and writing safetensors files tensor by tensor: a header of JSON with every tensor's type, shape and
//! place, then the numbers, little-endian.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Value, json};

use super::Tensors;
use super::published::{DATA_PARALLEL, bare_name, published_shape, to_published};
use crate::error::{Error, IoContext, Result};
use crate::fsutil::write_atomic;
use crate::tensor::{DType, Tensor};

/// The format's own limit, so that a hostile header cannot make us reserve more.
const MAX_HEADER: u64 = 100_000_000;

/// The entry of the string map with the CRC-32 of all numbers, in hexadecimal: the format itself has no checksum.
const CHECKSUM: &str = "crc32";
/// Written first, and over once the sum is known.
const NO_SUM: &str = "00000000";

/// Writes tensors in the given order, each in its published layout, atomically. `metadata` is one entry of the
/// header's string map. Equal content gives equal bytes.
///
/// Errors: whatever the disk reports.
pub fn write(path: impl AsRef<Path>, metadata: (&str, String), tensors: &[(String, Tensor)]) -> Result<()> {
    let header = header(metadata, tensors);
    let sum_at = header.find(&format!("\"{CHECKSUM}\":\"{NO_SUM}\"")).expect("just put there") + CHECKSUM.len() + 4;
    write_atomic(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        let mut sum = crc32fast::Hasher::new();
        for (name, tensor) in tensors {
            let tensor = to_published(name, tensor);
            let bytes = tensor.to_le_bytes();
            sum.update(&bytes);
            file.write_all(&bytes)?;
        }
        file.seek(SeekFrom::Start((8 + sum_at) as u64))?;
        write!(file, "{:08x}", sum.finalize())
    })
}

fn header((key, value): (&str, String), tensors: &[(String, Tensor)]) -> String {
    let map = BTreeMap::from([(key, value), (CHECKSUM, NO_SUM.into())]);
    let mut end = 0;
    let mut place = |(name, tensor): &(String, Tensor)| {
        let (dtype, size) = match tensor.dtype() {
            DType::F32 | DType::BF16 => (Dtype::F32, 4),
            DType::F64 => (Dtype::F64, 8),
        };
        let start = end;
        end += size * tensor.len();
        let shape = published_shape(name, tensor.shape());
        (name.clone(), json!(TensorInfo { dtype, shape, data_offsets: (start, end) }))
    };
    let mut header: BTreeMap<String, Value> = tensors.iter().map(&mut place).collect();
    assert_eq!(header.len(), tensors.len(), "two tensors of one name");
    header.insert("__metadata__".into(), json!(map));
    let mut header = serde_json::to_string(&header).expect("strings and integers");
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    header
}

/// An open safetensors file whose header has been checked; tensors are read when asked for.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    header: Metadata,
    /// Where in the file the numbers begin.
    data: u64,
}

impl Reader {
    /// Errors: no such file, not a safetensors file, cut short, sizes or places that contradict each other. No more
    /// memory is used than the file is long.
    pub fn open(path: impl AsRef<Path>) -> Result<Reader> {
        let path = path.as_ref();
        let mut file = File::open(path).at(path, "open")?;
        let length = file.metadata().at(path, "read")?.len();
        let advice = "copy it again, or use another checkpoint";
        let no_file = |what: String| Error::format(path, format!("is not a whole safetensors file: {what}; {advice}"));
        if length < 8 {
            return Err(no_file(format!("it has {length} bytes")));
        }
        let mut header_length = [0; 8];
        file.read_exact(&mut header_length).at(path, "read")?;
        let header_length = u64::from_le_bytes(header_length);
        if header_length > MAX_HEADER.min(length - 8) {
            return Err(no_file(format!("it has {length} bytes and claims a header of {header_length}")));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact(&mut header).at(path, "read")?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| no_file(format!("its header: {e}")))?;
        let (data, expected) = (8 + header_length, header.data_len() as u64);
        if length - data != expected {
            let held = length - data;
            return Err(no_file(format!("its header describes {expected} bytes of tensors, it holds {held}")));
        }
        Ok(Reader { path: path.to_path_buf(), file, header, data })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An entry of the header's string map.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// Reads the whole file once. A file of another program may have no checksum; then it passes.
    ///
    /// Errors: the numbers are not those that were written.
    pub fn verify(&mut self) -> Result<()> {
        let Some(expected) = self.metadata(CHECKSUM).map(str::to_owned) else { return Ok(()) };
        self.file.seek(SeekFrom::Start(self.data)).at(&self.path, "read")?;
        let mut sum = crc32fast::Hasher::new();
        let mut block = vec![0; 1 << 20];
        loop {
            match self.file.read(&mut block).at(&self.path, "read")? {
                0 => break,
                n => sum.update(&block[..n]),
            }
        }
        let held = format!("{:08x}", sum.finalize());
        if held == expected {
            return Ok(());
        }
        let what = format!(
            "is damaged: the checksum of its numbers is {held}, they were written with {expected}; copy it again, or use \
             another checkpoint"
        );
        Err(Error::format(&self.path, what))
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> BTreeSet<String> {
        self.header.offset_keys().into_iter().collect()
    }

    /// The shape of a tensor as it is in the file.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|info| info.shape.as_slice())
    }

    /// The type of a tensor's numbers.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.header.info(name).map(|info| info.dtype)
    }

    /// A tensor of numbers as it is in the file.
    ///
    /// Errors: there is no such tensor, it is neither F32 nor F64.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        let (info, bytes) = self.bytes(name)?;
        match info.dtype {
            Dtype::F32 => Ok(Tensor::from_f32(&numbers(&bytes, f32::from_le_bytes), info.shape)),
            Dtype::F64 => Ok(Tensor::from_f64(&numbers(&bytes, f64::from_le_bytes), info.shape)),
            other => Err(Error::format(&self.path, format!("tensor `{name}` is {other:?}, expected F32 or F64"))),
        }
    }

    /// A tensor of integers.
    ///
    /// Errors: there is no such tensor, it is not I64.
    pub fn read_i64(&mut self, name: &str) -> Result<Vec<i64>> {
        let (info, bytes) = self.bytes(name)?;
        match info.dtype {
            Dtype::I64 => Ok(numbers(&bytes, i64::from_le_bytes)),
            other => Err(Error::format(&self.path, format!("tensor `{name}` is {other:?}, expected I64"))),
        }
    }

    fn bytes(&mut self, name: &str) -> Result<(TensorInfo, Vec<u8>)> {
        let Some(info) = self.header.info(name).cloned() else {
            return Err(Error::format(&self.path, format!("has no tensor `{name}`")));
        };
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file.seek(SeekFrom::Start(self.data + start as u64)).at(&self.path, "read")?;
        self.file.read_exact(&mut bytes).at(&self.path, "read")?;
        Ok((info, bytes))
    }
}

impl Tensors for Reader {
    fn path(&self) -> &Path {
        self.path()
    }

    fn names(&self) -> BTreeSet<String> {
        self.names()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.shape(name)
    }

    fn is_float(&self, name: &str) -> bool {
        matches!(self.dtype(name), Some(Dtype::F32 | Dtype::F64))
    }

    fn read(&mut self, name: &str) -> Result<Tensor> {
        self.read(name)
    }
}

/// A network's parameters alone, whose names may begin with the `module.` of data-parallel training.
pub struct StateDict(pub Reader);

impl StateDict {
    fn full(&self, name: &str) -> String {
        let full = format!("{DATA_PARALLEL}{name}");
        if self.0.shape(&full).is_some() { full } else { name.to_owned() }
    }
}

impl Tensors for StateDict {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn names(&self) -> BTreeSet<String> {
        self.0.names().iter().map(|name| bare_name(name).to_owned()).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.shape(&self.full(name))
    }

    fn is_float(&self, name: &str) -> bool {
        self.0.is_float(&self.full(name))
    }

    fn read(&mut self, name: &str) -> Result<Tensor> {
        self.0.read(&self.full(name))
    }
}

fn numbers<T, const SIZE: usize>(bytes: &[u8], from_le_bytes: fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.as_chunks::<SIZE>().0.iter().map(|&chunk| from_le_bytes(chunk)).collect()
}
