//! x where x > 0, slope x elsewhere; and the same selection applied to a gradient.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

pub fn forward(gpu: &Arc<Gpu>, x: &Storage, slope: f64) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, x.len(), x.dtype())?;
    by_number!(x.dtype(), T => {
        launch::leaky_relu_forward::<T>(gpu, gpu.map_grid(x), y.write(), x.read(), slope as f32, x.len())
    })?;
    Ok(y)
}

/// dy where x > 0, slope dy elsewhere.
pub fn backward(gpu: &Arc<Gpu>, x: &Storage, dy: &Storage, slope: f64) -> Result<Storage> {
    let mut dx = Storage::scratch(gpu, x.len(), x.dtype())?;
    by_number!(x.dtype(), T => {
        let slope = slope as f32;
        launch::leaky_relu_backward::<T>(gpu, gpu.map_grid(x), dx.write(), x.read(), dy.read(), slope, x.len())
    })?;
    Ok(dx)
}
