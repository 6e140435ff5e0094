//! Attention of one head: see `ops/attention.rs` for the formulas, and kernels/attention.cu for the versions.

use std::sync::Arc;

use super::launch::Grid;
use super::{DType, Gpu, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::Attention;

/// Threads of a block of version 1; tokens and columns of a block of version 2, as in kernels/attention.cu.
const THREADS: usize = 256;
const TILE: usize = 32;
const COLUMNS: usize = 256;
/// Tokens of a block of version 3, those that it has in shared memory (its own and those that they meet), and the
/// numbers of 16 bytes, as in kernels/attention_mma.cu.
const ROWS: usize = 64;
const TOKENS: usize = 3 * ROWS;
const CHUNK: usize = 8;

/// q, k, v [N, T, C] -> softmax(q k^T / sqrt(C)) v.
pub fn forward(gpu: &Arc<Gpu>, q: &Storage, k: &Storage, v: &Storage, p: &Attention) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, q.len(), q.dtype())?;
    let scale = p.scale() as f32;
    if let Some(grid) = tensor_tiles(gpu, q, p) {
        let kernel = if p.c <= 128 { launch::attention_forward_128 } else { launch::attention_forward_256 };
        kernel(gpu, grid, y.write(), q.read(), k.read(), v.read(), *p, scale)?;
        return Ok(y);
    }
    by_number!(q.dtype(), T => {
        let (q, k, v) = (q.read(), k.read(), v.read());
        if gpu.version(2) == 1 {
            return launch::attention_forward_v1::<T>(gpu, y.len().div_ceil(THREADS), y.write(), q, k, v, *p, scale)
                .map(|()| y);
        }
        launch::attention_forward::<T>(gpu, tiles(p), y.write(), q, k, v, *p, scale)
    })?;
    Ok(y)
}

/// Tiles of tokens of all sequences, and pieces of columns.
fn tiles(p: &Attention) -> [usize; 2] {
    [p.n * p.t.div_ceil(TILE), p.c.div_ceil(COLUMNS)]
}

/// Tiles of tokens of all sequences for version 3, if that does it.
fn tensor_tiles(gpu: &Gpu, q: &Storage, p: &Attention) -> Option<Grid> {
    let shared = TOKENS * (p.c.next_multiple_of(16) + CHUNK) * size_of::<half::bf16>();
    (gpu.version(3) > 2 && q.dtype() == DType::BF16 && p.c.is_multiple_of(CHUNK) && p.c <= 256)
        .then(|| Grid::from(p.n * p.t.div_ceil(ROWS)).shared(shared))
}

/// dq, dk, dv.
pub fn backward(
    gpu: &Arc<Gpu>,
    q: &Storage,
    k: &Storage,
    v: &Storage,
    dy: &Storage,
    p: &Attention,
) -> Result<(Storage, Storage, Storage)> {
    let scratch = || Storage::scratch(gpu, q.len(), q.dtype());
    let (mut dq, mut dk, mut dv) = (scratch()?, scratch()?, scratch()?);
    let mut stats = Storage::scratch(gpu, p.n * p.t * 2, DType::F32)?;
    let (rows, numbers, scale) = ((p.n * p.t).div_ceil(THREADS), q.len().div_ceil(THREADS), p.scale() as f32);
    if let Some(grid) = tensor_tiles(gpu, q, p) {
        let (q, k, v, dy) = (q.read(), k.read(), v.read(), dy.read());
        launch::attention_stats_mma(gpu, grid, stats.write(), q, k, v, dy, *p, scale)?;
        let stats = stats.read();
        let wide = p.c > 128;
        let kernel = if wide { launch::attention_query_grad_256 } else { launch::attention_query_grad_128 };
        kernel(gpu, grid, dq.write(), q, k, v, dy, stats, *p, scale)?;
        let kernel = if wide { launch::attention_key_value_grad_256 } else { launch::attention_key_value_grad_128 };
        let both = Grid { blocks: [grid.blocks[0], 2, 1], ..grid };
        kernel(gpu, both, dk.write(), dv.write(), q, k, v, dy, stats, *p, scale)?;
        return Ok((dq, dk, dv));
    }
    by_number!(q.dtype(), T => {
        let (q, k, v, dy) = (q.read(), k.read(), v.read(), dy.read());
        if gpu.version(2) == 1 {
            launch::attention_stats_v1::<T>(gpu, rows, stats.write(), q, k, v, dy, *p, scale)?;
            let stats = stats.read();
            launch::attention_query_grad_v1::<T>(gpu, numbers, dq.write(), q, k, v, dy, stats, *p, scale)?;
            let (dk, dv) = (dk.write(), dv.write());
            launch::attention_key_value_grad_v1::<T>(gpu, numbers, dk, dv, q, k, v, dy, stats, *p, scale)
        } else {
            launch::attention_stats::<T>(gpu, tiles(p)[0], stats.write(), q, k, v, dy, *p, scale)?;
            let stats = stats.read();
            launch::attention_query_grad::<T>(gpu, tiles(p), dq.write(), q, k, v, dy, stats, *p, scale)?;
            let (dk, dv) = (dk.write(), dv.write());
            launch::attention_key_value_grad::<T>(gpu, tiles(p), dk, dv, q, k, v, dy, stats, *p, scale)
        }
    })?;
    Ok((dq, dk, dv))
}
