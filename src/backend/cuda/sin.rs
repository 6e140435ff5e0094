//! sin(x), element by element.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

pub fn forward(gpu: &Arc<Gpu>, x: &Storage) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, x.len(), x.dtype())?;
    by_number!(x.dtype(), T => launch::sin_forward::<T>(gpu, gpu.map_grid(x), y.write(), x.read(), x.len()))?;
    Ok(y)
}
