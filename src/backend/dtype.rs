//! The types that numbers have.

use serde::{Deserialize, Serialize};

use super::Device;
use crate::{Error, Result};

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    F32,
    /// On the CPU alone: the oracle for gradient checks.
    F64,
    /// On GPUs alone.
    BF16,
}

impl DType {
    /// Of a number.
    pub fn bytes(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::F64 => 8,
            DType::BF16 => 2,
        }
    }

    /// The type that sums and statistics of such numbers are kept in.
    pub fn wide(self) -> DType {
        if self == DType::BF16 { DType::F32 } else { self }
    }
}

/// What networks compute in. Parameters that are trained, pictures, losses and sums are f32 in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    F32,
    Bf16,
}

impl Precision {
    /// Errors: bf16 on a CPU.
    pub fn on(self, device: &Device) -> Result<DType> {
        match self {
            Precision::F32 => Ok(DType::F32),
            Precision::Bf16 if *device == Device::Cpu => {
                Err(Error::config("precision is bf16, which GPUs alone compute in; for a CPU set it to f32"))
            }
            Precision::Bf16 => Ok(DType::BF16),
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::BF16 => "bf16",
        })
    }
}
