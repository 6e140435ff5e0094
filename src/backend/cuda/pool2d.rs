//! Windows of an image, their maximum or mean: see `ops/pool2d.rs` for the formula.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::Pool2d;

/// Threads of a block, as in kernels/map.cuh.
const THREADS: usize = 256;

/// x [N, H, W, C] -> y [N, P, Q, C].
pub fn forward(gpu: &Arc<Gpu>, x: &Storage, g: &Pool2d) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, g.n * g.p * g.q * g.c, x.dtype())?;
    let grid = y.len().div_ceil(THREADS);
    by_number!(x.dtype(), T => launch::pool2d_forward::<T>(gpu, grid, y.write(), x.read(), *g))?;
    Ok(y)
}
