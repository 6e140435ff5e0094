//! Joining two tensors along the last axis, and cutting a piece out of it or putting it back among zeros.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;

/// [M, A] and [M, B] -> [M, A + B].
pub fn forward(gpu: &Arc<Gpu>, x: &Storage, y: &Storage, a: usize, b: usize) -> Result<Storage> {
    let mut out = Storage::scratch(gpu, x.len() + y.len(), x.dtype())?;
    let (grid, rows) = (gpu.map_grid(&out), out.len() / (a + b));
    by_number!(x.dtype(), T => launch::concat_forward::<T>(gpu, grid, out.write(), x.read(), y.read(), rows, a, b))?;
    Ok(out)
}

/// Columns `start..start + len` of [M, C] -> [M, len].
pub fn slice(gpu: &Arc<Gpu>, x: &Storage, c: usize, start: usize, len: usize) -> Result<Storage> {
    let rows = x.len() / c;
    let mut out = Storage::scratch(gpu, rows * len, x.dtype())?;
    let grid = gpu.map_grid(&out);
    by_number!(x.dtype(), T => launch::concat_slice::<T>(gpu, grid, out.write(), x.read(), rows, c, start, len))?;
    Ok(out)
}

/// The transpose of [`slice`]: [M, len] -> [M, C], zero outside of columns `start..start + len`.
pub fn embed(gpu: &Arc<Gpu>, x: &Storage, c: usize, start: usize, len: usize) -> Result<Storage> {
    let rows = x.len() / len;
    let mut out = Storage::scratch(gpu, rows * c, x.dtype())?;
    let grid = gpu.map_grid(&out);
    by_number!(x.dtype(), T => launch::concat_embed::<T>(gpu, grid, out.write(), x.read(), rows, c, start, len))?;
    Ok(out)
}
