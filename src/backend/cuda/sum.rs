//! Sums over the middle axis of [outer, middle, inner], and the copying back that is their transpose.

use std::sync::Arc;

use super::{DType, Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::{Divisor, SumSizes};

/// Threads of a block. Rows of a chunk are a multiple of it: the most that a block covers at once.
const THREADS: usize = 256;
/// Columns of a block, and packs of 16 bytes where all columns come in them, as in kernels/sum.cu.
const COLUMNS: usize = 32;
const PACKS: usize = 8;
/// Blocks that are enough for any GPU. The same number for all of them, so that all add in the same order.
const BLOCKS: usize = 512;

/// [outer, middle, inner] -> [outer, inner].
pub fn sum_middle(gpu: &Arc<Gpu>, x: &Storage, [outer, middle, inner]: [usize; 3]) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, outer * inner, x.dtype())?;
    by_number!(x.dtype(), T => {
        let pack = 16 / size_of::<T>();
        let packed = inner.is_multiple_of(pack);
        let across = inner.div_ceil(if packed { PACKS * pack } else { COLUMNS });
        let wanted = BLOCKS.div_ceil((outer * across).max(1));
        let chunk = middle.div_ceil(wanted).max(1).next_multiple_of(THREADS);
        let chunks = middle.div_ceil(chunk).max(1);
        let (sizes, tiles) = (SumSizes { outer, middle, inner, chunk }, Divisor::new(across.max(1)));
        if gpu.version(2) == 1 {
            let grid = (outer * inner).div_ceil(THREADS);
            return launch::sum_middle_v1::<T>(gpu, grid, y.write(), x.read(), sizes).map(|()| y);
        }
        if chunks == 1 {
            let sum = if packed { launch::sum_middle_packed::<T> } else { launch::sum_middle::<T> };
            return sum(gpu, outer * across, y.write(), x.read(), sizes, tiles).map(|()| y);
        }
        let mut parts = Storage::scratch(gpu, outer * chunks * inner, DType::F32)?;
        let sum = if packed { launch::sum_chunks_packed::<T> } else { launch::sum_chunks::<T> };
        sum(gpu, [outer * across, chunks], parts.write(), x.read(), sizes, tiles)?;
        let sizes = SumSizes { outer, middle: chunks, inner, chunk: chunks };
        launch::sum_parts::<T>(gpu, outer * inner.div_ceil(COLUMNS), y.write(), parts.read(), sizes)
    })?;
    Ok(y)
}

/// [outer, inner] -> [outer, middle, inner].
pub fn expand_middle(gpu: &Arc<Gpu>, x: &Storage, [outer, middle, inner]: [usize; 3]) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, outer * middle * inner, x.dtype())?;
    let (grid, sizes) = (gpu.map_grid(&y), SumSizes { outer, middle, inner, chunk: middle });
    by_number!(x.dtype(), T => launch::sum_expand::<T>(gpu, grid, y.write(), x.read(), sizes))?;
    Ok(y)
}
