//! Golden fixtures: the parameters, inputs and results of another implementation's computation, one a file.

use std::cell::RefCell;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::checkpoint::published::from_published;
use crate::checkpoint::safetensors::Reader;
use crate::nn::{Param, Timesteps};
use crate::tensor::{DType, Device, Tensor};
use crate::{Error, Result};

/// An open fixture. Tensors come out in this project's layout and in the type and on the device asked for when it was opened.
pub struct Fixture {
    reader: RefCell<Reader>,
    kind: String,
    dtype: DType,
    device: Device,
}

impl Fixture {
    /// Errors: not a safetensors file, or without the two strings that make it a fixture.
    pub fn open(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let reader = Reader::open(&path)?;
        let Some(kind) = reader.metadata("kind").map(str::to_owned) else {
            return Err(Error::format(path, "is no fixture: its metadata has no `kind`"));
        };
        Ok(Fixture { reader: RefCell::new(reader), kind, dtype, device: device.clone() })
    }

    /// Which computation this is.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The options of the computation.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C> {
        let reader = self.reader.borrow();
        let Some(config) = reader.metadata("config") else {
            return Err(self.error("its metadata has no `config`"));
        };
        serde_json::from_str(config).map_err(|e| self.error(format!("its config: {e}")))
    }

    pub fn has(&self, name: &str) -> bool {
        self.reader.borrow().shape(name).is_some()
    }

    /// The names after `prefix` of all tensors that begin with it.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let names = self.reader.borrow().names();
        names.iter().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect()
    }

    /// A tensor: pictures come as [N, H, W, C], weights as the networks keep them.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let published = self.reader.borrow_mut().read(name)?;
        from_published(name, &published).to(self.dtype, &self.device)
    }

    /// The numbers of a tensor in the order of this project's layout.
    pub fn values(&self, name: &str) -> Result<Vec<f64>> {
        Ok(self.tensor(name)?.to_f64())
    }

    /// The time steps stored under `name`.
    pub fn indices(&self, name: &str) -> Result<Vec<usize>> {
        let indices = self.reader.borrow_mut().read_i64(name)?;
        let index = |i: i64| usize::try_from(i).map_err(|_| self.error(format!("`{name}` holds the time step {i}")));
        indices.into_iter().map(index).collect()
    }

    /// The times stored under `name`: indices if they are integers, noise levels if not.
    pub fn times(&self, name: &str) -> Result<Timesteps> {
        match self.indices(name) {
            Ok(indices) => Ok(Timesteps::Index(indices)),
            Err(_) => Ok(Timesteps::NoiseLevel(self.values(name)?)),
        }
    }

    /// Gives every parameter the value stored under `prefix` and its name.
    ///
    /// Errors: a parameter that the file lacks, one of another shape, or one in the file that the network lacks.
    pub fn load(&self, prefix: &str, params: &[Param]) -> Result<()> {
        for param in params {
            param.set(self.tensor(&format!("{prefix}{}", param.name()))?)?;
        }
        match self.names(prefix).into_iter().find(|name| params.iter().all(|p| p.name() != name)) {
            Some(unknown) => Err(self.error(format!("the network has no parameter `{unknown}`"))),
            None => Ok(()),
        }
    }

    /// An error about this file.
    pub fn error(&self, what: impl Into<String>) -> Error {
        Error::format(self.reader.borrow().path(), what)
    }
}
