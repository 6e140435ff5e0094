//! Who computes convolutions on a GPU.

use serde::Serialize;

use super::DType;
use crate::{Error, Result};

/// What a user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convolver {
    /// Our kernels.
    #[default]
    Own,
    /// cuDNN for all that it can compute.
    Cudnn,
    /// For each shape the faster of both, measured when it is first computed; our kernels where there is no cuDNN.
    Auto,
    /// As `Auto`, but everything is measured, and measured anew.
    Compare,
}

impl std::str::FromStr for Convolver {
    type Err = Error;

    fn from_str(text: &str) -> Result<Convolver> {
        match text {
            "own" => Ok(Convolver::Own),
            "cudnn" => Ok(Convolver::Cudnn),
            "auto" => Ok(Convolver::Auto),
            _ => Err(Error::config("expected own, cudnn or auto")),
        }
    }
}

/// What a convolution, or a gradient of one, was measured to take.
#[derive(Clone, Debug, Serialize)]
pub struct Contest {
    /// `forward`, `input_grad`, `weight_grad`.
    pub pass: String,
    /// Input, outputs, filter.
    pub sizes: String,
    pub precision: DType,
    /// Multiplications and additions.
    pub flops: f64,
    /// The fastest first.
    pub entries: Vec<Entry>,
}

/// One who can compute it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// `own 3` is version 3 of our kernels, `cudnn 1` cuDNN's algorithm of that number.
    pub name: String,
    pub seconds: f64,
}

impl Contest {
    /// The fastest of ours.
    pub fn own(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name.starts_with("own"))
    }

    /// The fastest of cuDNN's.
    pub fn cudnn(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name.starts_with("cudnn"))
    }
}
