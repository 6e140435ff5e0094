//! Up- and downsampling by a separable filter: see `ops/resample.rs` for the formula.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::backend::params::{Resample, Taps};
use crate::{Error, Result};

/// Threads of a block, as in kernels/map.cuh.
const THREADS: usize = 256;

/// x [N, H, W, C] -> y [N, P, Q, C]; `taps` is the filter of both axes.
pub fn forward(gpu: &Arc<Gpu>, x: &Storage, taps: &[f64], g: &Resample) -> Result<Storage> {
    let f = Taps::new(taps).ok_or_else(|| {
        Error::cuda(format!("a resampling filter of {} taps; kernels take up to {}", taps.len(), Taps::MOST))
    })?;
    let mut y = Storage::scratch(gpu, g.n * g.p * g.q * g.c, x.dtype())?;
    let grid = gpu.map_grid(&y);
    by_number!(x.dtype(), T => {
        macro_rules! run {
            ($kernel:ident, $grid:expr) => {
                launch::$kernel::<T>(gpu, $grid, y.write(), x.read(), *g, f)
            };
        }
        let fast = gpu.version(2) > 1 && (g.c * size_of::<T>()).is_multiple_of(16);
        match (taps.len(), g.up, g.down) {
            _ if !fast => run!(resample_v1, y.len().div_ceil(THREADS)),
            (4, 2, 1) => run!(resample_4_up, grid),
            (4, 1, 2) => run!(resample_4_down, grid),
            (4, 1, 1) => run!(resample_4_same, grid),
            (2, 2, 1) => run!(resample_2_up, grid),
            (2, 1, 2) => run!(resample_2_down, grid),
            _ => run!(resample_v1, y.len().div_ceil(THREADS)),
        }
    })?;
    Ok(y)
}
