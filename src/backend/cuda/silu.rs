//! x sigmoid(x), element by element, and its gradient.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

pub fn forward(gpu: &Arc<Gpu>, x: &Storage) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, x.len(), x.dtype())?;
    by_number!(x.dtype(), T => launch::silu_forward::<T>(gpu, gpu.map_grid(x), y.write(), x.read(), x.len()))?;
    Ok(y)
}

pub fn backward(gpu: &Arc<Gpu>, x: &Storage, dy: &Storage) -> Result<Storage> {
    let mut dx = Storage::scratch(gpu, x.len(), x.dtype())?;
    by_number!(x.dtype(), T => {
        launch::silu_backward::<T>(gpu, gpu.map_grid(x), dx.write(), x.read(), dy.read(), x.len())
    })?;
    Ok(dx)
}
