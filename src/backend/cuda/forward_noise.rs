//! The pair of noisy images (x_t, x_{t+1}) of a batch in one pass: see `ops/forward_noise.rs`.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

/// x_t = a x_0 + b noise_t, x_{t+1} = c x_t + d noise_{t+1}, with coefficients [a, b, c, d] [4, N].
pub fn pair(
    gpu: &Arc<Gpu>,
    x0: &Storage,
    noise_t: &Storage,
    noise_t1: &Storage,
    coefficients: &Storage,
) -> Result<(Storage, Storage)> {
    let (mut x_t, mut x_t1) =
        (Storage::scratch(gpu, x0.len(), x0.dtype())?, Storage::scratch(gpu, x0.len(), x0.dtype())?);
    let samples = coefficients.len() / 4;
    by_number!(x0.dtype(), T => launch::forward_noise_given::<T>(
        gpu, gpu.quad_grid(x0), x_t.write(), x_t1.write(), x0.read(), noise_t.read(), noise_t1.read(),
        coefficients.read(), samples, x0.len() / samples
    ))?;
    Ok((x_t, x_t1))
}

/// The same with noise drawn in registers: element i is number i of the sequences that the keys name.
pub fn pair_drawn(
    gpu: &Arc<Gpu>,
    x0: &Storage,
    key_t: &Storage,
    key_t1: &Storage,
    coefficients: &Storage,
) -> Result<(Storage, Storage)> {
    let (mut x_t, mut x_t1) =
        (Storage::scratch(gpu, x0.len(), x0.dtype())?, Storage::scratch(gpu, x0.len(), x0.dtype())?);
    let samples = coefficients.len() / 4;
    by_number!(x0.dtype(), T => launch::forward_noise_drawn::<T>(
        gpu, gpu.quad_grid(x0), x_t.write(), x_t1.write(), x0.read(), key_t.read(), key_t1.read(),
        coefficients.read(), samples, x0.len() / samples
    ))?;
    Ok((x_t, x_t1))
}
