//! Windows of an image, their maximum or mean: see `ops/pool2d.rs` for the formula.

use std::sync::Arc;

use super::{Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::{Divisor, Pool2d};

/// Threads of a block, as in kernels/map.cuh.
const THREADS: usize = 256;

/// x [N, H, W, C] -> y [N, P, Q, C].
pub fn forward(gpu: &Arc<Gpu>, x: &Storage, g: &Pool2d) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, g.n * g.p * g.q * g.c, x.dtype())?;
    by_number!(x.dtype(), T => {
        let pack = 16 / size_of::<T>();
        // The newer version counts with 31 bits.
        let small = [x.len() / pack, y.len() / pack, 2 * (g.h + g.w + g.size)].iter().all(|&n| n < 1 << 31);
        if gpu.version(2) > 1 && g.c.is_multiple_of(pack) && small {
            let (grid, [packs, q, p]) = ((y.len() / pack).div_ceil(THREADS), [g.c / pack, g.q, g.p].map(Divisor::new));
            launch::pool2d_packed::<T>(gpu, grid, y.write(), x.read(), *g, packs, q, p)
        } else {
            launch::pool2d_v1::<T>(gpu, y.len().div_ceil(THREADS), y.write(), x.read(), *g)
        }
    })?;
    Ok(y)
}
