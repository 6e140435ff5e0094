//! The pair of noisy images (x_t, x_{t+1}) of a batch in one pass: see `ops/forward_noise.rs`.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::philox::Key;

/// x_t = a x_0 + b noise_t, x_{t+1} = c x_t + d noise_{t+1}, with coefficients [a, b, c, d] of one number a sample.
pub fn pair(
    gpu: &Arc<Gpu>,
    x0: &Storage,
    noise_t: &Storage,
    noise_t1: &Storage,
    coefficients: &[Vec<f64>; 4],
) -> Result<(Storage, Storage)> {
    let (mut x_t, mut x_t1) =
        (Storage::scratch(gpu, x0.len(), x0.dtype())?, Storage::scratch(gpu, x0.len(), x0.dtype())?);
    let (samples, coefficients) = (coefficients[0].len(), Storage::of_samples(gpu, coefficients)?);
    by_number!(x0.dtype(), T => launch::forward_noise_given::<T>(
        gpu, gpu.quad_grid(x0), x_t.write(), x_t1.write(), x0.read(), noise_t.read(), noise_t1.read(),
        coefficients.read(), samples, x0.len() / samples
    ))?;
    Ok((x_t, x_t1))
}

/// The same with noise drawn in registers: element i is number i of the sequences `keys`.
pub fn pair_drawn(
    gpu: &Arc<Gpu>,
    x0: &Storage,
    keys: [Key; 2],
    coefficients: &[Vec<f64>; 4],
) -> Result<(Storage, Storage)> {
    let (mut x_t, mut x_t1) =
        (Storage::scratch(gpu, x0.len(), x0.dtype())?, Storage::scratch(gpu, x0.len(), x0.dtype())?);
    let (samples, coefficients) = (coefficients[0].len(), Storage::of_samples(gpu, coefficients)?);
    by_number!(x0.dtype(), T => launch::forward_noise_drawn::<T>(
        gpu, gpu.quad_grid(x0), x_t.write(), x_t1.write(), x0.read(), keys[0], keys[1],
        coefficients.read(), samples, x0.len() / samples
    ))?;
    Ok((x_t, x_t1))
}
