//! a x + b, element by element.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

pub fn forward(gpu: &Arc<Gpu>, x: &Storage, a: f64, b: f64) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, x.len(), x.dtype())?;
    let (a, b) = (a as f32, b as f32);
    by_number!(x.dtype(), T => launch::affine_forward::<T>(gpu, gpu.map_grid(x), y.write(), x.read(), a, b, x.len()))?;
    Ok(y)
}
