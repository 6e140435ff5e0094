//! Tensor = shape + dtype + storage on a device. Contiguous always, immutable once shared.

mod random;

pub use crate::backend::philox::Key;
pub use crate::backend::{DType, Device, DeviceMemory, DeviceName, Fetch, Precision, Recorded};
pub use random::{Noise, normal, stream, uniform};

use std::borrow::Cow;
use std::sync::Arc;

use crate::backend::{Storage, cpu, dispatch};
use crate::{Error, Result};

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
        let values = cpu::Storage::F64(cpu::Buffer::from_slice(values));
        Ok(Self::new(Storage::from_host(values, dtype, device)?, shape))
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

    /// Replaces the numbers by another tensor's, in the same memory, which no other tensor may share.
    pub fn assign(&mut self, from: &Tensor) -> Result<()> {
        assert_eq!((self.shape(), self.dtype()), (from.shape(), from.dtype()));
        let storage = Arc::get_mut(&mut self.storage).expect("no other tensor shares what is overwritten");
        storage.assign(from.storage())
    }

    /// Where the numbers are in their device's memory, if no other tensor shares them.
    pub fn own_place(&self) -> Option<u64> {
        (Arc::strong_count(&self.storage) == 1).then(|| self.storage.address())
    }

    /// Asks for a few numbers as they are now, and does not wait for them.
    pub fn fetch(&self) -> Result<Fetch> {
        Fetch::begin(self.storage())
    }

    /// Whether both are clones of one tensor, or reshaped from one.
    pub fn shares_memory(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage)
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
        self.to(self.dtype(), device)
    }

    /// The same numbers in a type and on a device; shared if they are so already.
    pub fn to(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        if *device == self.device() {
            return self.cast(dtype);
        }
        let values = self.storage.on_host()?.into_owned();
        Ok(Self::new(Storage::from_host(values, dtype, device)?, self.shape.clone()))
    }

    /// The numbers as f32, copied to the computer's memory, after all work on their device is done. Panics if that
    /// device failed: by a bug in a kernel, or because it broke.
    pub fn to_f32(&self) -> Vec<f32> {
        match &*self.on_host() {
            cpu::Storage::F32(b) => b.to_vec(),
            cpu::Storage::F64(b) => b.iter().map(|&v| v as f32).collect(),
        }
    }

    /// The numbers as f64, as [`Tensor::to_f32`].
    pub fn to_f64(&self) -> Vec<f64> {
        self.on_host().to_f64()
    }

    fn on_host(&self) -> Cow<'_, cpu::Storage> {
        self.storage.on_host().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The only number of a tensor of one element.
    pub fn item(&self) -> f64 {
        assert_eq!(self.len(), 1, "item() of a tensor of shape {:?}", self.shape);
        self.to_f64()[0]
    }

    /// The same numbers in another type; shared if it is theirs already.
    ///
    /// Errors: bf16 on a CPU.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        let device = self.device();
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        if dtype == DType::BF16 && device == Device::Cpu {
            return Err(Error::config("bf16 is for GPUs; the CPU computes in f32"));
        }
        Ok(Self::new(dispatch!(device, cast::forward(self.storage(); dtype))?, self.shape.clone()))
    }

    /// Whether no number is infinite or NaN.
    pub fn is_finite(&self) -> bool {
        // No early exit: so it is vectorized.
        match &*self.on_host() {
            cpu::Storage::F32(b) => b.iter().fold(true, |ok, x| ok & x.is_finite()),
            cpu::Storage::F64(b) => b.iter().fold(true, |ok, x| ok & x.is_finite()),
        }
    }

    /// The numbers as they stand in files: little-endian.
    pub fn to_le_bytes(&self) -> Cow<'_, [u8]> {
        const { assert!(cfg!(target_endian = "little"), "files are little-endian, and memory is taken to be too") }
        match self.on_host() {
            Cow::Borrowed(s) => Cow::Borrowed(s.as_bytes()),
            Cow::Owned(s) => Cow::Owned(s.as_bytes().to_vec()),
        }
    }

    /// Transposes each of the [rows, columns] matrices that the numbers consist of, and gives the result a shape. For
    /// the edge of the program (files are NCHW, memory is NHWC), not for the hot path: the result is on the CPU.
    pub fn transpose(&self, [rows, columns]: [usize; 2], shape: impl Into<Vec<usize>>) -> Tensor {
        let transposed = match &*self.on_host() {
            cpu::Storage::F32(b) => cpu::Storage::F32(transpose(b, rows, columns)),
            cpu::Storage::F64(b) => cpu::Storage::F64(transpose(b, rows, columns)),
        };
        Self::new(Storage::Cpu(transposed), shape)
    }

    /// [N, C, H, W] -> [N, H, W, C]; for convolution weights [K, C, R, S] -> [K, R, S, C].
    pub fn to_channels_last(&self) -> Tensor {
        let [n, c, h, w] = self.four();
        self.transpose([c, h * w], [n, h, w, c])
    }

    /// [N, H, W, C] -> [N, C, H, W]; the inverse of [`Tensor::to_channels_last`].
    pub fn to_channels_first(&self) -> Tensor {
        let [n, h, w, c] = self.four();
        self.transpose([h * w, c], [n, c, h, w])
    }

    fn four(&self) -> [usize; 4] {
        self.shape[..].try_into().unwrap_or_else(|_| panic!("expected four axes, got {:?}", self.shape))
    }
}

fn transpose<T: bytemuck::Pod>(values: &[T], rows: usize, columns: usize) -> cpu::Buffer<T> {
    let mut out = cpu::Buffer::scratch(values.len());
    if values.is_empty() {
        return out;
    }
    for (matrix, out) in values.chunks_exact(rows * columns).zip(out.chunks_exact_mut(rows * columns)) {
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            for (row, out) in out.iter_mut().enumerate() {
                *out = matrix[row * columns + column];
            }
        }
    }
    out
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Tensor {:?} {}", self.shape, self.dtype())
    }
}
