//! What a device can do at most, measured by the program's own operations.

use std::time::Instant;

use serde::Serialize;

use crate::autograd::Var;
use crate::error::{Error, Result};
use crate::ops;
use crate::tensor::{DType, Device, Tensor};

/// What a copy of a large tensor and a large matrix product reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ceilings {
    /// Read and written.
    pub bytes_per_second: f64,
    /// Multiplications and additions.
    pub flops_per_second: f64,
}

impl Ceilings {
    /// The best of a few runs.
    pub fn measure(dtype: DType, device: &Device) -> Result<Ceilings> {
        let on_gpu = *device != Device::Cpu;
        // Larger than any cache, and large enough for all of the device.
        let (numbers, side) = if on_gpu { (1_usize << 28, 8192_usize) } else { (1 << 24, 1024) };
        let x = Var::constant(Tensor::full(1.0, [numbers], dtype, device)?);
        let copy = best(device, || ops::affine(&x, 1.0, 0.0))?;
        drop(x);
        let a = Var::constant(Tensor::full(0.5, [side, side], dtype, device)?);
        let product = best(device, || ops::matmul(&a, &a, false, false))?;
        Ok(Ceilings {
            bytes_per_second: 2.0 * (numbers * dtype.bytes()) as f64 / copy,
            flops_per_second: 2.0 * (side as f64).powi(3) / product,
        })
    }

    /// The least seconds for so much.
    pub fn floor(&self, bytes: f64, flops: f64) -> f64 {
        (bytes / self.bytes_per_second).max(flops / self.flops_per_second)
    }
}

impl std::str::FromStr for Ceilings {
    type Err = Error;

    /// `4300,790000`: GB/s, GFLOP/s.
    fn from_str(text: &str) -> Result<Ceilings> {
        let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[bytes, flops]) if bytes > 0.0 && flops > 0.0 => {
                Ok(Ceilings { bytes_per_second: 1e9 * bytes, flops_per_second: 1e9 * flops })
            }
            _ => Err(Error::config("expected GB/s and GFLOP/s, such as 4300,790000")),
        }
    }
}

/// Seconds of the fastest run, after one for warming up.
fn best(device: &Device, run: impl Fn() -> Result<Var>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for warm in [false, true, true, true] {
        device.synchronize()?;
        let started = Instant::now();
        run()?;
        device.synchronize()?;
        if warm {
            best = best.min(started.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}
