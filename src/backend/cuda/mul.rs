//! x y, element by element.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

pub fn forward(gpu: &Arc<Gpu>, x: &Storage, y: &Storage) -> Result<Storage> {
    let mut z = Storage::scratch(gpu, x.len(), x.dtype())?;
    by_number!(x.dtype(), T => {
        launch::mul_forward::<T>(gpu, gpu.map_grid(x), z.write(), x.read(), y.read(), x.len())
    })?;
    Ok(z)
}
