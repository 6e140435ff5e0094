//! a x + b y, element by element.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

pub fn forward(gpu: &Arc<Gpu>, x: &Storage, y: &Storage, a: f64, b: f64) -> Result<Storage> {
    let mut z = Storage::scratch(gpu, x.len(), x.dtype())?;
    let (a, b) = (a as f32, b as f32);
    by_number!(x.dtype(), T => {
        launch::scale_add_forward::<T>(gpu, gpu.map_grid(x), z.write(), x.read(), y.read(), a, b, x.len())
    })?;
    Ok(z)
}
