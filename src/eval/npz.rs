//! Archives of numpy's arrays: a zip file with one NPY file an array.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use npyz::NpyFile;
use npyz::npz::{array_name_from_file_name, file_name_from_array_name};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{Error, IoContext, Result};

pub struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Npz {
    /// Errors: no such file, no archive.
    pub fn open(path: &Path) -> Result<Npz> {
        let file = BufReader::new(File::open(path).at(path, "open")?);
        let archive = ZipArchive::new(file).map_err(|e| Error::format(path, format!("is no NPZ file: {e}")))?;
        Ok(Npz { path: path.to_path_buf(), archive })
    }

    /// The names of the arrays.
    pub fn names(&self) -> Vec<String> {
        let files = self.archive.file_names().filter_map(|name| name.ok());
        files.filter_map(|name| array_name_from_file_name(&name).map(str::to_owned)).collect()
    }

    /// `None` if there is no such array. Errors: damaged.
    pub fn array(&mut self, name: &str) -> Result<Option<NpyFile<impl Read>>> {
        match self.archive.by_name(&file_name_from_array_name(name)) {
            Ok(file) => NpyFile::new(file).at(&self.path, "read").map(Some),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(e) => Err(Error::format(&self.path, format!("array `{name}`: {e}"))),
        }
    }
}
