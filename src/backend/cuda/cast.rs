//! The same numbers in another type.

use std::sync::Arc;

use super::{DType, Gpu, Storage, launch};
use crate::{Error, Result};

pub fn forward(gpu: &Arc<Gpu>, x: &Storage, dtype: DType) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, x.len(), dtype)?;
    let grid = gpu.quad_grid(x);
    match (x.dtype(), dtype) {
        (DType::F32, DType::BF16) => launch::cast_to_bf16(gpu, grid, y.write(), x.read(), x.len())?,
        (DType::BF16, DType::F32) => launch::cast_to_float(gpu, grid, y.write(), x.read(), x.len())?,
        (from, to) => return Err(Error::cuda(format!("no kernel casts {from} to {to}"))),
    }
    Ok(y)
}
