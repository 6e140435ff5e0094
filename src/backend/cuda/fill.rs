//! One value everywhere.

use std::sync::Arc;

use super::{DType, Gpu, Storage, by_number, launch};
use crate::Result;

pub fn full(gpu: &Arc<Gpu>, len: usize, value: f64, dtype: DType) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, len, dtype)?;
    let grid = gpu.map_grid(&y);
    by_number!(dtype, T => launch::fill_full::<T>(gpu, grid, y.write(), value as f32, len))?;
    Ok(y)
}
