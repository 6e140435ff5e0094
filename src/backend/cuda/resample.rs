//! Up- and downsampling by a separable filter: see `ops/resample.rs` for the formula.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::backend::params::{Divisor, Resample, Taps};
use crate::{Error, Result};

/// Threads of a block, as in kernels/map.cuh.
const THREADS: usize = 256;

/// x [N, H, W, C] -> y [N, P, Q, C]; `taps` is the filter of both axes.
pub fn forward(gpu: &Arc<Gpu>, x: &Storage, taps: &[f64], g: &Resample) -> Result<Storage> {
    let f = Taps::new(taps).ok_or_else(|| {
        Error::cuda(format!("a resampling filter of {} taps; kernels take up to {}", taps.len(), Taps::MOST))
    })?;
    let mut y = Storage::scratch(gpu, g.n * g.p * g.q * g.c, x.dtype())?;
    // Lines of a block of the newer version, as in kernels/resample.cu, and what it counts with 31 bits.
    let lines = if g.up * g.down == 1 { 4 } else { 2 };
    let skipped = if g.up == 2 { (g.pad_top + 1).rem_euclid(2) as usize } else { 0 };
    let tiles = (g.p + skipped).div_ceil(lines);
    let fast = gpu.version(2) > 1 && [g.n * tiles, g.q * g.c, 8 * g.w * g.c].iter().all(|&n| n < 1 << 31);
    by_number!(x.dtype(), T => {
        let pack = 16 / size_of::<T>();
        let pieces = if g.c.is_multiple_of(pack) { g.c / pack } else { g.c };
        macro_rules! run {
            ($kernel:ident) => {{
                let (tiles, pieces) = (Divisor::new(tiles), Divisor::new(pieces));
                launch::$kernel::<T>(gpu, g.n * tiles.by as usize, y.write(), x.read(), *g, f, tiles, pieces)
            }};
        }
        match (taps.len(), g.up, g.down) {
            (4, 2, 1) if fast => run!(resample_4_up),
            (4, 1, 2) if fast => run!(resample_4_down),
            (4, 1, 1) if fast => run!(resample_4_same),
            (2, 2, 1) if fast => run!(resample_2_up),
            (2, 1, 2) if fast => run!(resample_2_down),
            _ => launch::resample_v1::<T>(gpu, y.len().div_ceil(THREADS), y.write(), x.read(), *g, f),
        }
    })?;
    Ok(y)
}
