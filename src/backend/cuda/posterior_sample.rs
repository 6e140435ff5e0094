//! One draw from the Gaussian posterior q(x_t | x_{t+1}, x_0) in one pass: see `ops/posterior_sample.rs`.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

/// a x_0 + b x_{t+1} + s noise, with coefficients [a, b, s] [3, N].
pub fn forward(
    gpu: &Arc<Gpu>,
    x0: &Storage,
    x_t1: &Storage,
    noise: &Storage,
    coefficients: &Storage,
) -> Result<Storage> {
    let mut x_t = Storage::scratch(gpu, x0.len(), x0.dtype())?;
    let samples = coefficients.len() / 3;
    by_number!(x0.dtype(), T => launch::posterior_sample_given::<T>(
        gpu, gpu.quad_grid(x0), x_t.write(), x0.read(), x_t1.read(), noise.read(),
        coefficients.read(), samples, x0.len() / samples
    ))?;
    Ok(x_t)
}

/// The same with noise drawn in registers: element i is number i of the sequence `key`.
pub fn drawn(gpu: &Arc<Gpu>, x0: &Storage, x_t1: &Storage, key: &Storage, coefficients: &Storage) -> Result<Storage> {
    let mut x_t = Storage::scratch(gpu, x0.len(), x0.dtype())?;
    let samples = coefficients.len() / 3;
    by_number!(x0.dtype(), T => launch::posterior_sample_drawn::<T>(
        gpu, gpu.quad_grid(x0), x_t.write(), x0.read(), x_t1.read(), key.read(),
        coefficients.read(), samples, x0.len() / samples
    ))?;
    Ok(x_t)
}
