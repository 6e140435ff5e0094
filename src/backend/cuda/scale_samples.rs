//! Every sample of a batch times a number of its own.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

/// [N, ...] times [N].
pub fn forward(gpu: &Arc<Gpu>, x: &Storage, coefficients: &Storage) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, x.len(), x.dtype())?;
    let samples = coefficients.len();
    by_number!(x.dtype(), T => launch::scale_samples_forward::<T>(
        gpu, gpu.quad_grid(x), y.write(), x.read(), coefficients.read(), samples, x.len() / samples
    ))?;
    Ok(y)
}
