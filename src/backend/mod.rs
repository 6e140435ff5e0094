//! Where numbers live and are worked on: devices, their memory, and one kernel a file.

pub mod cpu;
pub mod params;
pub mod philox;

use crate::Result;

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    F32,
    F64,
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
        })
    }
}

/// Where a tensor lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
}

/// The numbers of one tensor, on the device they belong to.
pub enum Storage {
    Cpu(cpu::Storage),
}

impl Storage {
    pub fn device(&self) -> Device {
        match self {
            Storage::Cpu(_) => Device::Cpu,
        }
    }

    pub fn dtype(&self) -> DType {
        match self {
            Storage::Cpu(s) => s.dtype(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Storage::Cpu(s) => s.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the numbers on the same device.
    pub fn duplicate(&self) -> Result<Storage> {
        Ok(match self {
            Storage::Cpu(s) => Storage::Cpu(s.clone()),
        })
    }
}

/// What a kernel of the CPU takes for an argument that `dispatch!` was given.
pub trait ToCpu {
    type Cpu;
    fn to_cpu(self) -> Self::Cpu;
}

impl<'a> ToCpu for &'a Storage {
    type Cpu = &'a cpu::Storage;
    fn to_cpu(self) -> &'a cpu::Storage {
        match self {
            Storage::Cpu(s) => s,
        }
    }
}

impl<'a> ToCpu for &'a mut Storage {
    type Cpu = &'a mut cpu::Storage;
    fn to_cpu(self) -> &'a mut cpu::Storage {
        match self {
            Storage::Cpu(s) => s,
        }
    }
}

impl<T: ToCpu> ToCpu for Option<T> {
    type Cpu = Option<T::Cpu>;
    fn to_cpu(self) -> Self::Cpu {
        self.map(T::to_cpu)
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
/// `cpu::silu::forward` with the CPU's storage. Tensors come first, then after a semicolon everything else. A result,
/// because a device may be out of memory.
macro_rules! dispatch {
    ($device:expr, $op:ident::$kernel:ident($($tensor:expr),* $(; $($param:expr),*)?)) => {
        match $device {
            $crate::backend::Device::Cpu => $crate::Result::Ok($crate::backend::IntoStorage::into_storage(
                $crate::backend::cpu::$op::$kernel(
                    $($crate::backend::ToCpu::to_cpu($tensor),)* $($($param),*)?
                ),
            )),
        }
    };
}
pub(crate) use dispatch;
