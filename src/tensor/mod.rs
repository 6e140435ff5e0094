//! Tensor = shape + dtype + storage on a device. Contiguous always, immutable once shared.

mod random;

pub use crate::backend::philox::Key;
pub use crate::backend::{DType, Device};
pub use random::{normal, stream, uniform};

use std::sync::Arc;

use crate::Result;
use crate::backend::{Storage, cpu, dispatch};

/// A contiguous array of numbers in row-major order; images are [N, H, W, C]. Clones share the numbers.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    shape: Vec<usize>,
}

impl Tensor {
    /// Puts a shape on a storage of the same number of elements.
    pub(crate) fn new(storage: Storage, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        assert_eq!(storage.len(), shape.iter().product::<usize>(), "a storage of {} for {shape:?}", storage.len());
        Tensor { storage: Arc::new(storage), shape }
    }

    /// A tensor of f32 numbers on the CPU.
    pub fn from_f32(values: &[f32], shape: impl Into<Vec<usize>>) -> Self {
        Self::new(Storage::Cpu(cpu::Storage::F32(cpu::Buffer::from_slice(values))), shape)
    }

    /// A tensor of f64 numbers on the CPU.
    pub fn from_f64(values: &[f64], shape: impl Into<Vec<usize>>) -> Self {
        Self::new(Storage::Cpu(cpu::Storage::F64(cpu::Buffer::from_slice(values))), shape)
    }

    /// A tensor of the given type and device whose numbers come from f64 values.
    pub fn from_values(values: &[f64], shape: impl Into<Vec<usize>>, dtype: DType, device: &Device) -> Result<Self> {
        let Device::Cpu = device;
        Ok(match dtype {
            DType::F32 => Self::from_f32(&values.iter().map(|&v| v as f32).collect::<Vec<_>>(), shape),
            DType::F64 => Self::from_f64(values, shape),
        })
    }

    /// A tensor that holds one value everywhere.
    pub fn full(value: f64, shape: impl Into<Vec<usize>>, dtype: DType, device: &Device) -> Result<Self> {
        let shape = shape.into();
        let len = shape.iter().product();
        Ok(Self::new(dispatch!(device, fill::full(; len, value, dtype))?, shape))
    }

    pub fn zeros(shape: impl Into<Vec<usize>>, dtype: DType, device: &Device) -> Result<Self> {
        Self::full(0.0, shape, dtype, device)
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.storage.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn dtype(&self) -> DType {
        self.storage.dtype()
    }

    pub fn device(&self) -> Device {
        self.storage.device()
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The storage for writing, copied first if another tensor shares it.
    pub(crate) fn storage_mut(&mut self) -> Result<&mut Storage> {
        if Arc::get_mut(&mut self.storage).is_none() {
            self.storage = Arc::new(self.storage.duplicate()?);
        }
        Ok(Arc::get_mut(&mut self.storage).expect("just made unique"))
    }

    /// The same numbers under another shape of the same size.
    pub fn reshape(&self, shape: impl Into<Vec<usize>>) -> Tensor {
        let shape = shape.into();
        assert_eq!(self.len(), shape.iter().product::<usize>(), "reshape {:?} to {shape:?}", self.shape);
        Tensor { storage: self.storage.clone(), shape }
    }

    /// A copy that shares nothing.
    pub fn deep_clone(&self) -> Result<Tensor> {
        Ok(Tensor { storage: Arc::new(self.storage.duplicate()?), shape: self.shape.clone() })
    }

    /// The same numbers on a device; shared if they are there already.
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        let Device::Cpu = device;
        Ok(self.clone())
    }

    /// The numbers as f32, copied to the computer's memory.
    pub fn to_f32(&self) -> Vec<f32> {
        let Storage::Cpu(s) = self.storage();
        match s {
            cpu::Storage::F32(b) => b.to_vec(),
            cpu::Storage::F64(b) => b.iter().map(|&v| v as f32).collect(),
        }
    }

    /// The numbers as f64, copied to the computer's memory.
    pub fn to_f64(&self) -> Vec<f64> {
        let Storage::Cpu(s) = self.storage();
        match s {
            cpu::Storage::F32(b) => b.iter().map(|&v| v as f64).collect(),
            cpu::Storage::F64(b) => b.to_vec(),
        }
    }

    /// The only number of a tensor of one element.
    pub fn item(&self) -> f64 {
        assert_eq!(self.len(), 1, "item() of a tensor of shape {:?}", self.shape);
        self.to_f64()[0]
    }

    /// The same numbers in another type.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        Ok(match dtype {
            _ if dtype == self.dtype() => self.clone(),
            DType::F32 => Self::from_f32(&self.to_f32(), self.shape.clone()),
            DType::F64 => Self::from_f64(&self.to_f64(), self.shape.clone()),
        })
    }

    /// A tensor with its axes in another order: axis i of the result is axis `order[i]` of self. For the edge of the
    /// program (files are NCHW, memory is NHWC), not for the hot path.
    pub fn permute(&self, order: &[usize]) -> Tensor {
        let rank = self.shape.len();
        assert_eq!(order.len(), rank, "permute {:?} by {order:?}", self.shape);
        let mut strides = vec![1; rank];
        for i in (0..rank.saturating_sub(1)).rev() {
            strides[i] = strides[i + 1] * self.shape[i + 1];
        }
        let shape: Vec<usize> = order.iter().map(|&i| self.shape[i]).collect();
        let strides: Vec<usize> = order.iter().map(|&i| strides[i]).collect();
        let mut index = vec![0; rank];
        let mut sources = Vec::with_capacity(self.len());
        for _ in 0..self.len() {
            sources.push(index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>());
            for axis in (0..rank).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        let Storage::Cpu(storage) = self.storage();
        match storage {
            cpu::Storage::F32(b) => Self::from_f32(&sources.iter().map(|&i| b[i]).collect::<Vec<_>>(), shape),
            cpu::Storage::F64(b) => Self::from_f64(&sources.iter().map(|&i| b[i]).collect::<Vec<_>>(), shape),
        }
    }

    /// [N, C, H, W] -> [N, H, W, C]; for convolution weights [K, C, R, S] -> [K, R, S, C].
    pub fn to_channels_last(&self) -> Tensor {
        self.permute(&[0, 2, 3, 1])
    }

    /// [N, H, W, C] -> [N, C, H, W]; the inverse of [`Tensor::to_channels_last`].
    pub fn to_channels_first(&self) -> Tensor {
        self.permute(&[0, 3, 1, 2])
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Tensor {:?} {}", self.shape, self.dtype())
    }
}
