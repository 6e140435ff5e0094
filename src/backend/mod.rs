//! Where numbers live and are worked on: devices, their memory, and one kernel a file.

mod by_device;
mod convolver;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device_name;
mod dtype;
pub mod params;
pub mod philox;
mod range;
mod recorded;
pub mod trace;

use std::borrow::Cow;
use std::path::Path;
#[cfg(feature = "cuda")]
use std::sync::Arc;

pub use by_device::{IntoStorage, OnDevice};
pub(crate) use by_device::{dispatch, on_device};
pub use convolver::{Contest, Convolver, Entry};
pub use device_name::DeviceName;
pub use dtype::{DType, Precision};
pub use recorded::{Fetch, Recorded};

use crate::{Error, Result};

/// Where a tensor lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    #[default]
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda(Arc<cuda::Gpu>),
}

/// A GPU's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// What can still be taken, here.
    pub free: usize,
    pub total: usize,
}

impl Device {
    /// The GPU of that number.
    ///
    /// Errors: there is none, no driver for it, or no kernels in this program.
    #[cfg(feature = "cuda")]
    pub fn cuda(ordinal: usize) -> Result<Device> {
        Device::cuda_with_versions(ordinal, usize::MAX)
    }

    /// The GPU of that number, with versions of kernels up to `newest`: a test's oracle is version 1.
    #[cfg(feature = "cuda")]
    pub fn cuda_with_versions(ordinal: usize, newest: usize) -> Result<Device> {
        Ok(Device::Cuda(cuda::Gpu::open(ordinal, newest)?))
    }

    #[cfg(not(feature = "cuda"))]
    pub fn cuda_with_versions(_: usize, _: usize) -> Result<Device> {
        Device::cuda(0)
    }

    #[cfg(not(feature = "cuda"))]
    pub fn cuda(_: usize) -> Result<Device> {
        Err(Error::cuda("this program was built without the feature `cuda`"))
    }

    /// How many GPUs there are, whether or not this program can use them.
    #[cfg(feature = "cuda")]
    pub fn gpu_count() -> usize {
        cuda::count()
    }

    #[cfg(not(feature = "cuda"))]
    pub fn gpu_count() -> usize {
        0
    }

    /// What its maker calls it.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu => "CPU".to_owned(),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => gpu.name().to_owned(),
        }
    }

    /// Bytes of a GPU's memory that this handle has, in use or waiting to be used again.
    pub fn allocated(&self) -> usize {
        match self {
            Device::Cpu => 0,
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => gpu.allocated(),
        }
    }

    /// Of a GPU; a CPU's is the machine's.
    pub fn memory(&self) -> Result<Option<DeviceMemory>> {
        match self {
            Device::Cpu => Ok(None),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => gpu.available().map(Some),
        }
    }

    /// Says who computes convolutions, once and before the first of them. `cache` is the folder for what is measured.
    ///
    /// Errors: cuDNN where it cannot be had.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))] // the CPU measures nothing
    pub fn choose_convolver(&self, convolver: Convolver, cache: Option<&Path>) -> Result<()> {
        match self {
            Device::Cpu if convolver == Convolver::Cudnn => Err(Error::cuda("cuDNN computes on NVIDIA's GPUs alone")),
            Device::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => gpu.choose_convolver(convolver, cache),
        }
    }

    /// The convolutions that were computed so far, if [`Device::choose_convolver`] had somebody measured.
    pub fn contests(&self) -> Vec<Contest> {
        match self {
            Device::Cpu => Vec::new(),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => gpu.contests(),
        }
    }

    /// Waits until everything that was asked of it is done.
    pub fn synchronize(&self) -> Result<()> {
        match self {
            Device::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => gpu.synchronize(),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => gpu.fmt(f),
        }
    }
}

/// What compiled the kernels for GPUs, or why there are none.
pub fn kernels() -> String {
    #[cfg(feature = "cuda")]
    return cuda::launch::COMPILER.map_or(
        "none, since nvcc was not found when this program was built; scripts/get-nvcc installs it, then build again"
            .into(),
        |compiler| format!("compiled by {compiler}"),
    );
    #[cfg(not(feature = "cuda"))]
    "none: this program was built without the feature `cuda`".into()
}

/// NVIDIA's libraries, and what was found of each.
pub fn libraries() -> Vec<(&'static str, String)> {
    #[cfg(feature = "cuda")]
    return cuda::Library::ALL.map(|library| (library.name(), library.state())).into();
    #[cfg(not(feature = "cuda"))]
    Vec::new()
}

#[cfg(feature = "cuda")]
const ELSEWHERE: &str = "tensors of one operation live on one device";

/// The numbers of one tensor, on the device they belong to.
pub enum Storage {
    Cpu(cpu::Storage),
    #[cfg(feature = "cuda")]
    Cuda(cuda::Storage),
}

/// `on_any!(storage, s => e)` evaluates e with s the storage of whatever device it is.
macro_rules! on_any {
    ($storage:expr, $s:ident => $e:expr) => {
        match $storage {
            Storage::Cpu($s) => $e,
            #[cfg(feature = "cuda")]
            Storage::Cuda($s) => $e,
        }
    };
}

impl Storage {
    pub fn device(&self) -> Device {
        match self {
            Storage::Cpu(_) => Device::Cpu,
            #[cfg(feature = "cuda")]
            Storage::Cuda(s) => Device::Cuda(s.gpu().clone()),
        }
    }

    pub fn dtype(&self) -> DType {
        on_any!(self, s => s.dtype())
    }

    pub fn len(&self) -> usize {
        on_any!(self, s => s.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the numbers on the same device.
    pub fn duplicate(&self) -> Result<Storage> {
        match self {
            Storage::Cpu(s) => Ok(Storage::Cpu(s.clone())),
            #[cfg(feature = "cuda")]
            Storage::Cuda(s) => s.duplicate().map(Storage::Cuda),
        }
    }

    /// Replaces the numbers by those of another of the same device, type and length, in the same memory.
    pub fn assign(&mut self, from: &Storage) -> Result<()> {
        match (self, from) {
            (Storage::Cpu(s), Storage::Cpu(from)) => s.copy_from(from),
            #[cfg(feature = "cuda")]
            (Storage::Cuda(s), Storage::Cuda(from)) => s.assign(from)?,
            #[cfg(feature = "cuda")]
            _ => panic!("{ELSEWHERE}"),
        }
        Ok(())
    }

    /// Where they begin in their device's memory.
    pub fn address(&self) -> u64 {
        match self {
            Storage::Cpu(s) => s.as_bytes().as_ptr() as u64,
            #[cfg(feature = "cuda")]
            Storage::Cuda(s) => s.address(),
        }
    }

    /// The numbers in the computer's memory; those of a GPU as f32, after all its work is done.
    pub fn on_host(&self) -> Result<Cow<'_, cpu::Storage>> {
        match self {
            Storage::Cpu(s) => Ok(Cow::Borrowed(s)),
            #[cfg(feature = "cuda")]
            Storage::Cuda(s) => s.download().map(Cow::Owned),
        }
    }

    /// The numbers on a device, in a type that it computes in.
    pub fn from_host(values: cpu::Storage, dtype: DType, device: &Device) -> Result<Storage> {
        match device {
            Device::Cpu => values.cast(dtype).map(Storage::Cpu),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => cuda::Storage::upload(gpu, &values, dtype).map(Storage::Cuda),
        }
    }
}
