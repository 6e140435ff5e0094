//! The CPU: every operation in f32 (fast) and in f64 (plain loops, the oracle for gradient checks).

pub mod adam;
pub mod affine;
pub mod attention;
mod buffer;
pub mod cast;
pub mod concat;
pub mod conv2d;
pub mod dropout;
pub mod fill;
mod float;
pub mod gemm;
pub mod forward_noise;
pub mod group_norm;
mod lanes;
pub mod leaky_relu;
mod map;
pub mod matmul;
pub mod mul;
mod naive;
mod parallel;
pub mod pool2d;
pub mod posterior_sample;
pub mod power;
pub mod random;
pub mod resample;
pub mod scale_add;
pub mod scale_samples;
pub mod silu;
pub mod simd;
pub mod sin;
pub mod softplus;
pub mod sum;
pub mod tanh;
#[cfg(test)]
mod testing;

pub use buffer::Buffer;
pub use float::Float;
pub(crate) use float::by_float;
pub(crate) use map::{map, map2};

use super::DType;
use crate::{Error, Result};

/// The numbers of one tensor in the computer's memory.
#[derive(Clone)]
pub enum Storage {
    F32(Buffer<f32>),
    F64(Buffer<f64>),
}

impl Storage {
    pub fn dtype(&self) -> DType {
        match self {
            Storage::F32(_) => DType::F32,
            Storage::F64(_) => DType::F64,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Storage::F32(b) => b.len(),
            Storage::F64(b) => b.len(),
        }
    }

    /// The numbers as they stand in memory.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Storage::F32(b) => bytemuck::cast_slice(b),
            Storage::F64(b) => bytemuck::cast_slice(b),
        }
    }

    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Storage::F32(b) => b.iter().map(|&x| x as f64).collect(),
            Storage::F64(b) => b.to_vec(),
        }
    }

    /// Replaces the numbers by those of another of the same type and length.
    pub fn copy_from(&mut self, from: &Storage) {
        match (self, from) {
            (Storage::F32(b), Storage::F32(from)) => b.copy_from_slice(from),
            (Storage::F64(b), Storage::F64(from)) => b.copy_from_slice(from),
            (s, from) => panic!("{} numbers for {}", from.dtype(), s.dtype()),
        }
    }

    /// The numbers in another type. Errors: bf16, which the CPU does not compute in.
    pub fn cast(self, dtype: DType) -> Result<Storage> {
        match (self, dtype) {
            (_, DType::BF16) => Err(Error::config("bf16 is for GPUs; the CPU computes in f32")),
            (Storage::F32(b), DType::F64) => Ok(Storage::F64(b.iter().map(|&x| x as f64).collect())),
            (Storage::F64(b), DType::F32) => Ok(Storage::F32(b.iter().map(|&x| x as f32).collect())),
            (same, _) => Ok(same),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
