//! Where numbers live and are worked on: devices, their memory, and one kernel a file.

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

/// What each device's kernels take for an argument that `dispatch!` was given.
pub trait OnDevice {
    type Cpu;
    fn on_cpu(self) -> Self::Cpu;
    #[cfg(feature = "cuda")]
    type Cuda;
    #[cfg(feature = "cuda")]
    fn on_cuda(self) -> Self::Cuda;
}

#[cfg(feature = "cuda")]
const ELSEWHERE: &str = "tensors of one operation live on one device";

impl<'a> OnDevice for &'a Storage {
    type Cpu = &'a cpu::Storage;
    fn on_cpu(self) -> &'a cpu::Storage {
        match self {
            Storage::Cpu(s) => s,
            #[cfg(feature = "cuda")]
            _ => panic!("{ELSEWHERE}"),
        }
    }

    #[cfg(feature = "cuda")]
    type Cuda = &'a cuda::Storage;
    #[cfg(feature = "cuda")]
    fn on_cuda(self) -> &'a cuda::Storage {
        match self {
            Storage::Cuda(s) => s,
            _ => panic!("{ELSEWHERE}"),
        }
    }
}

impl<'a> OnDevice for &'a mut Storage {
    type Cpu = &'a mut cpu::Storage;
    fn on_cpu(self) -> &'a mut cpu::Storage {
        match self {
            Storage::Cpu(s) => s,
            #[cfg(feature = "cuda")]
            _ => panic!("{ELSEWHERE}"),
        }
    }

    #[cfg(feature = "cuda")]
    type Cuda = &'a mut cuda::Storage;
    #[cfg(feature = "cuda")]
    fn on_cuda(self) -> &'a mut cuda::Storage {
        match self {
            Storage::Cuda(s) => s,
            _ => panic!("{ELSEWHERE}"),
        }
    }
}

impl<T: OnDevice> OnDevice for Option<T> {
    type Cpu = Option<T::Cpu>;
    fn on_cpu(self) -> Self::Cpu {
        self.map(T::on_cpu)
    }

    #[cfg(feature = "cuda")]
    type Cuda = Option<T::Cuda>;
    #[cfg(feature = "cuda")]
    fn on_cuda(self) -> Self::Cuda {
        self.map(T::on_cuda)
    }
}

/// What `dispatch!` gives back for what a device's kernel returned.
pub trait IntoStorage {
    type Out;
    fn into_storage(self) -> Self::Out;
}

impl IntoStorage for () {
    type Out = ();
    fn into_storage(self) {}
}

impl IntoStorage for bool {
    type Out = bool;
    fn into_storage(self) -> bool {
        self
    }
}

impl IntoStorage for cpu::Storage {
    type Out = Storage;
    fn into_storage(self) -> Storage {
        Storage::Cpu(self)
    }
}

#[cfg(feature = "cuda")]
impl IntoStorage for cuda::Storage {
    type Out = Storage;
    fn into_storage(self) -> Storage {
        Storage::Cuda(self)
    }
}

impl<T: IntoStorage> IntoStorage for Option<T> {
    type Out = Option<T::Out>;
    fn into_storage(self) -> Self::Out {
        self.map(T::into_storage)
    }
}

impl<A: IntoStorage, B: IntoStorage> IntoStorage for (A, B) {
    type Out = (A::Out, B::Out);
    fn into_storage(self) -> Self::Out {
        (self.0.into_storage(), self.1.into_storage())
    }
}

impl<A: IntoStorage, B: IntoStorage, C: IntoStorage> IntoStorage for (A, B, C) {
    type Out = (A::Out, B::Out, C::Out);
    fn into_storage(self) -> Self::Out {
        (self.0.into_storage(), self.1.into_storage(), self.2.into_storage())
    }
}

/// Calls a kernel on the device its tensors live on: `dispatch!(device, silu::forward(x.storage()))` calls
/// `cpu::silu::forward` with the CPU's storage, or `cuda::silu::forward` with the GPU and its storage. Tensors come
/// first, then after a semicolon everything else. A result, because a device may be out of memory.
macro_rules! dispatch {
    ($device:expr, $op:ident::$kernel:ident($($tensor:expr),* $(; $($param:expr),*)?)) => {{
        let device = &$device;
        #[allow(unused_mut)] // a kernel may take no arguments
        let mut span = $crate::backend::trace::Span::begin(device, stringify!($op), stringify!($kernel));
        let result = $crate::backend::on_device!(
            *device, $op::$kernel($(span.tensor($tensor)),* ; $($(span.parameter($param)),*)?)
        );
        span.end(&result);
        result
    }};
}
pub(crate) use dispatch;

#[cfg(feature = "cuda")]
macro_rules! on_device {
    ($device:expr, $op:ident::$kernel:ident($($tensor:expr),* ; $($param:expr),*)) => {
        match &$device {
            $crate::backend::Device::Cpu => $crate::Result::Ok($crate::backend::IntoStorage::into_storage(
                $crate::backend::cpu::$op::$kernel($($crate::backend::OnDevice::on_cpu($tensor),)* $($param),*),
            )),
            $crate::backend::Device::Cuda(gpu) => $crate::backend::cuda::$op::$kernel(
                gpu, $($crate::backend::OnDevice::on_cuda($tensor),)* $($param),*
            ).map($crate::backend::IntoStorage::into_storage),
        }
    };
}
#[cfg(not(feature = "cuda"))]
macro_rules! on_device {
    ($device:expr, $op:ident::$kernel:ident($($tensor:expr),* ; $($param:expr),*)) => {
        match &$device {
            $crate::backend::Device::Cpu => $crate::Result::Ok($crate::backend::IntoStorage::into_storage(
                $crate::backend::cpu::$op::$kernel($($crate::backend::OnDevice::on_cpu($tensor),)* $($param),*),
            )),
        }
    };
}
pub(crate) use on_device;
