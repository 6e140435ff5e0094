//! Normal and uniform numbers: see `backend/philox.rs`.

use std::sync::Arc;

use super::{DType, Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::philox::Key;

pub fn normal(gpu: &Arc<Gpu>, len: usize, key: Key, dtype: DType) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, len, dtype)?;
    let grid = gpu.map_grid(&y);
    by_number!(dtype, T => launch::random_normal::<T>(gpu, grid, y.write(), key, len))?;
    Ok(y)
}

pub fn uniform(gpu: &Arc<Gpu>, len: usize, key: Key, dtype: DType) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, len, dtype)?;
    let grid = gpu.map_grid(&y);
    by_number!(dtype, T => launch::random_uniform::<T>(gpu, grid, y.write(), key, len))?;
    Ok(y)
}
