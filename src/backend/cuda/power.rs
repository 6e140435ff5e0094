//! x^p, element by element.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

pub fn forward(gpu: &Arc<Gpu>, x: &Storage, p: f64) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, x.len(), x.dtype())?;
    by_number!(x.dtype(), T => {
        launch::power_forward::<T>(gpu, gpu.map_grid(x), y.write(), x.read(), p as f32, x.len())
    })?;
    Ok(y)
}
