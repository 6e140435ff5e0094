//! One call for the kernels of every device: what they take, what they give, and `dispatch!`.

#[cfg(feature = "cuda")]
use super::{ELSEWHERE, cuda};
use super::{Storage, cpu};

/// What each device's kernels take for an argument that `dispatch!` was given.
pub trait OnDevice {
    type Cpu;
    fn on_cpu(self) -> Self::Cpu;
    #[cfg(feature = "cuda")]
    type Cuda;
    #[cfg(feature = "cuda")]
    fn on_cuda(self) -> Self::Cuda;
}

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

impl<T: OnDevice> OnDevice for Vec<T> {
    type Cpu = Vec<T::Cpu>;
    fn on_cpu(self) -> Self::Cpu {
        self.into_iter().map(T::on_cpu).collect()
    }

    #[cfg(feature = "cuda")]
    type Cuda = Vec<T::Cuda>;
    #[cfg(feature = "cuda")]
    fn on_cuda(self) -> Self::Cuda {
        self.into_iter().map(T::on_cuda).collect()
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
