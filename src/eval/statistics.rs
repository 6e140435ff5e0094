//! Mean and covariance of a data set's features in a file: as pytorch-fid writes and reads them, `mu` and `sigma` in an
//! NPZ file, or a pickled dictionary of the two in an NPY file.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use nalgebra::{DMatrix, DVector};
use npyz::WriterBuilder;
use zip::write::SimpleFileOptions;

use super::npz::Npz;
use crate::error::{Error, IoContext, Result};
use crate::fsutil::write_atomic;
use crate::metrics::Gaussian;
use crate::pickle::{Array, Pickle};

/// Statistics, and whose features they are of if the file tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    pub gaussian: Gaussian,
    pub extractor: Option<String>,
}

/// More features than any known extractor has.
const MOST_FEATURES: u64 = 1 << 14;
/// Beside `mu` and `sigma`, for us: the name of the extractor, UTF-8.
const EXTRACTOR: &str = "extractor";

impl Statistics {
    /// Errors: neither of the two forms, sizes that do not belong together.
    pub fn read(path: &Path) -> Result<Statistics> {
        let is_npy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
        let (mean, covariance, extractor) = if is_npy { read_npy(path)? } else { read_npz(path)? };
        let n = mean.len();
        if covariance.len() != n * n {
            let what = format!("its mu has {n} numbers, its sigma {}, which is not {n} x {n}", covariance.len());
            return Err(Error::format(path, what));
        }
        // Rows or columns first: it is symmetric, or refused.
        let gaussian = Gaussian::new(DVector::from_vec(mean), DMatrix::from_vec(n, n, covariance));
        Ok(Statistics { gaussian: gaussian.map_err(|e| Error::format(path, e.to_string()))?, extractor })
    }

    /// Writes an NPZ file.
    ///
    /// Errors: the disk's.
    pub fn write(&self, path: &Path) -> Result<()> {
        let n = self.gaussian.dim() as u64;
        write_atomic(path, |file| {
            let mut zip = zip::ZipWriter::new(file);
            let mut put = |name: &str, type_name: &str, shape: &[u64], bytes: &[u8]| {
                let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
                zip.start_file(npyz::npz::file_name_from_array_name(name), options)?;
                let dtype = npyz::DType::new_scalar(type_name.parse().expect("numpy's name of a type"));
                let header = npyz::WriteOptions::new_header_only().dtype(dtype).shape(shape);
                header.writer(&mut zip).write_header_only()?;
                zip.write_all(bytes)
            };
            let bytes = |values: &[f64]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
            put("mu", "<f8", &[n], &bytes(self.gaussian.mean().as_slice()))?;
            put("sigma", "<f8", &[n, n], &bytes(self.gaussian.covariance().as_slice()))?;
            if let Some(extractor) = &self.extractor {
                put(EXTRACTOR, "|u1", &[extractor.len() as u64], extractor.as_bytes())?;
            }
            zip.finish()?;
            Ok(())
        })
    }
}

/// Mean, covariance and extractor.
type Parts = (Vec<f64>, Vec<f64>, Option<String>);

fn read_npz(path: &Path) -> Result<Parts> {
    let mut archive = Npz::open(path)?;
    let mut array = |name: &str| -> Result<Option<Vec<f64>>> {
        let Some(array) = archive.array(name)? else { return Ok(None) };
        let sizes = array.shape();
        if sizes.len() > 2 || sizes.iter().any(|&n| n > MOST_FEATURES) {
            return Err(Error::format(path, format!("array `{name}` has the shape {sizes:?}")));
        }
        let values = match array.dtype().descr().as_str() {
            "'<f4'" => array.into_vec::<f32>().at(path, "read")?.into_iter().map(f64::from).collect(),
            "'|u1'" => array.into_vec::<u8>().at(path, "read")?.into_iter().map(f64::from).collect(),
            _ => array.into_vec::<f64>().at(path, "read")?,
        };
        Ok(Some(values))
    };
    let extractor = array(EXTRACTOR)?.map(|codes| codes.into_iter().map(|code| code as u8).collect::<Vec<_>>());
    let mut needed = |name| {
        let missing = || Error::format(path, format!("has no array `{name}`; statistics are `mu` and `sigma`"));
        array(name)?.ok_or_else(missing)
    };
    Ok((needed("mu")?, needed("sigma")?, extractor.map(|name| String::from_utf8_lossy(&name).into_owned())))
}

/// An NPY file whose one value is a pickled dictionary: a header that only tells where it ends, then the pickle.
fn read_npy(path: &Path) -> Result<Parts> {
    let no_npy = || Error::format(path, "is no NPY file with a pickled dictionary of `mu` and `sigma`");
    let mut reader = BufReader::new(File::open(path).at(path, "open")?);
    let mut start = [0; 8];
    reader.read_exact(&mut start).at(path, "read")?;
    if &start[..6] != b"\x93NUMPY" {
        return Err(no_npy());
    }
    let mut length = [0; 4];
    reader.read_exact(&mut length[..if start[6] == 1 { 2 } else { 4 }]).at(path, "read")?;
    let mut header = (&mut reader).take(u32::from_le_bytes(length).into());
    while let n @ 1.. = header.fill_buf().at(path, "read")?.len() {
        header.consume(n);
    }
    let pickle = Pickle::read(&mut reader, path)?;
    let find = |name: &str| pickle.values().find_map(|value| value.get(name)?.array());
    let (Some(mean), Some(covariance)) = (find("mu"), find("sigma")) else { return Err(no_npy()) };
    match (numbers(&mean), numbers(&covariance)) {
        (Some(mean), Some(covariance)) => Ok((mean, covariance, None)),
        _ => Err(Error::format(path, format!("mu is {}, sigma {}; expected <f8 or <f4", mean.dtype, covariance.dtype))),
    }
}

fn numbers(array: &Array) -> Option<Vec<f64>> {
    match array.dtype.as_str() {
        "<f8" => Some(array.data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()),
        "<f4" => Some(array.data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect()),
        _ => None,
    }
}
