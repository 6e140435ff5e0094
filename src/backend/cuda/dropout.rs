//! Dropout, its mask drawn where it is used: see `ops/dropout.rs`.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::philox::Key;

/// x / (1 - p) where the uniform number at the element's position of the sequence `key` is above p, 0 elsewhere.
pub fn forward(gpu: &Arc<Gpu>, x: &Storage, p: f64, key: Key) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, x.len(), x.dtype())?;
    let scale = (1.0 / (1.0 - p)) as f32;
    by_number!(x.dtype(), T => {
        launch::dropout_forward::<T>(gpu, gpu.quad_grid(x), y.write(), x.read(), key, p as f32, scale, x.len())
    })?;
    Ok(y)
}
