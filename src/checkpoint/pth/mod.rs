//! What PyTorch's `torch.save` writes, read as data: a pickle of the objects, beside it the numbers of their tensors.
//!
//! Nothing that a file contains is executed: a pickle that calls anything but the few functions tensors are made of is
//! refused. A tensor is a place in the file; its numbers are read when they are asked for. What a file claims is
//! checked against its length, so that none makes us reserve more memory than it is long.

mod container;
mod content;
mod state_dict;
mod tensor;

pub use content::{Content, Optimizer};
pub use state_dict::StateDict;
pub use tensor::TensorAt;

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::pickle::{Pickle, Value};

/// An open file of `torch.save`.
#[derive(Debug)]
pub struct Pth {
    path: PathBuf,
    file: File,
    /// Bytes in the file.
    length: u64,
    pickle: Pickle,
    /// Where in the file each storage is, by its key.
    storages: HashMap<String, Range<u64>>,
}

/// Functions and classes that may stand in a pickle, since what they make of their arguments is known.
const KNOWN: [(&str, &str); 10] = [
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("torch", "device"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("argparse", "Namespace"),
    ("_codecs", "encode"),
];

impl Pth {
    /// Opens a zip archive, or a stream as PyTorch wrote before 1.6.
    ///
    /// Errors: no such file, none of `torch.save`, cut short, big-endian, compressed, a pickle that calls functions.
    pub fn open(path: impl AsRef<Path>) -> Result<Pth> {
        let path = path.as_ref();
        let file = File::open(path).at(path, "open")?;
        let length = file.metadata().at(path, "read")?.len();
        let (pickle, storages) = container::open(&file, length, path)?;
        let pth = Pth { path: path.to_path_buf(), file, length, pickle, storages };
        pth.refuse_calls()?;
        Ok(pth)
    }

    /// Whether a file begins as those of `torch.save` do. Errors: no such file.
    pub fn begins(path: impl AsRef<Path>) -> Result<bool> {
        let file = File::open(&path).at(&path, "open")?;
        Ok(container::kind(&file, path.as_ref())?.is_some())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The object that was saved.
    pub fn root(&self) -> Value<'_> {
        self.pickle.root()
    }

    fn refuse_calls(&self) -> Result<()> {
        let unknown = self
            .pickle
            .values()
            .filter_map(Value::object)
            .map(|object| object.callable)
            .find(|callable| !callable.global().is_some_and(|name| KNOWN.contains(&name)));
        match unknown {
            None => Ok(()),
            Some(callable) => Err(self.error(format!(
                "calls {}, which no checkpoint needs. Nothing of it was executed. If you trust the file, load it in \
                 PyTorch and save only tensors, numbers and strings: torch.save(network.state_dict(), ..)",
                callable.describe()
            ))),
        }
    }

    fn error(&self, what: impl Into<String>) -> Error {
        Error::format(&self.path, what)
    }
}
