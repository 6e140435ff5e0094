//! 2-D convolution and its two gradients: see `ops/conv2d.rs`, and kernels/conv2d.cu for the versions.

use std::sync::Arc;

use super::launch::Grid;
use super::{DType, Gpu, In, Number, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::{Conv2d, SumSizes};
use half::bf16;

/// Threads of a block of version 1, and the tile of version 2, as in kernels/tiled.cuh.
const THREADS: usize = 256;
const TILE: usize = 64;
/// Tiles of versions 3 and 4, and bytes of shared memory that a block of them has at most, as in kernels/mma.cuh.
const LARGE: usize = 128;
const SMALL: usize = 64;
const SHARED_LARGE: usize = 80 << 10;
const SHARED_SMALL: usize = 40 << 10;
/// The numbers of 16 bytes that they load at once.
const CHUNK: usize = 8;
/// Columns that a block of kernels/sum.cu adds up.
const COLUMNS: usize = 32;
/// Blocks that are enough for any GPU. The same number for all of them, so that all add in the same order.
const BLOCKS: usize = 512;
/// Pixels that a part of a weight gradient has at least.
const PIXELS: usize = 256;

/// (conv(x, w) + bias [K] + time bias [N, K] + residual [N, P, Q, K]) * scale.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    gpu: &Arc<Gpu>,
    x: &Storage,
    w: &Storage,
    bias: Option<&Storage>,
    time_bias: Option<&Storage>,
    residual: Option<&Storage>,
    g: &Conv2d,
    scale: f64,
) -> Result<Storage> {
    let mut y = Storage::scratch(gpu, g.y_len(), x.dtype())?;
    let (pixels, scale) = (g.n * g.p * g.q, scale as f32);
    if on_tensor_cores(gpu, x, &[g.c]) {
        let [bias, time_bias, residual] = [bias, time_bias, residual].map(optional::<bf16>);
        let (x, w) = (x.read(), w.read());
        let (large, grid) = tensor_tiles(gpu, pixels, g.k, 1);
        let kernel = if large { launch::conv2d_forward_large } else { launch::conv2d_forward_small };
        kernel(gpu, grid, y.write(), x, w, bias, time_bias, residual, *g, scale)?;
        return Ok(y);
    }
    by_number!(x.dtype(), T => {
        let [bias, time_bias, residual] = [bias, time_bias, residual].map(optional::<T>);
        let (x, w) = (x.read(), w.read());
        if gpu.version(2) == 1 {
            let grid = y.len().div_ceil(THREADS);
            return launch::conv2d_forward_v1::<T>(gpu, grid, y.write(), x, w, bias, time_bias, residual, *g, scale)
                .map(|()| y);
        }
        let grid = tiles(pixels, g.k);
        launch::conv2d_forward::<T>(gpu, grid, y.write(), x, w, bias, time_bias, residual, *g, scale)
    })?;
    Ok(y)
}

fn optional<T: Number>(term: Option<&Storage>) -> In<'_, T> {
    term.map_or(In::NULL, Storage::read)
}

/// Whether tensor cores do it: these channels come in whole packs.
fn on_tensor_cores(gpu: &Gpu, x: &Storage, channels: &[usize]) -> bool {
    gpu.version(4) > 2 && x.dtype() == DType::BF16 && channels.iter().all(|c| c.is_multiple_of(CHUNK))
}

/// Large tiles if there are enough of them for this GPU, else small ones: an output adds up in the same order in both.
fn tensor_tiles(gpu: &Gpu, rows: usize, columns: usize, parts: usize) -> (bool, Grid) {
    let grid = |tile: usize| Grid::new(rows.div_ceil(tile), columns.div_ceil(tile), parts);
    let large = grid(LARGE).blocks.iter().map(|&n| n as usize).product::<usize>() >= gpu.multiprocessors();
    if large && gpu.version(4) > 3 {
        (true, grid(LARGE).shared(SHARED_LARGE))
    } else {
        (false, grid(SMALL).shared(SHARED_SMALL))
    }
}

fn tiles(rows: usize, columns: usize) -> Grid {
    Grid::from([rows.div_ceil(TILE), columns.div_ceil(TILE)])
}

/// dx = d<y, dy>/dx.
pub fn input_grad(gpu: &Arc<Gpu>, dy: &Storage, w: &Storage, g: &Conv2d) -> Result<Storage> {
    let mut dx = Storage::scratch(gpu, g.x_len(), dy.dtype())?;
    if on_tensor_cores(gpu, dy, &[g.c, g.k]) {
        let (large, grid) = tensor_tiles(gpu, g.n * g.h * g.w, g.c, 1);
        let kernel = if large { launch::conv2d_input_grad_large } else { launch::conv2d_input_grad_small };
        kernel(gpu, grid, dx.write(), dy.read(), w.read(), *g)?;
        return Ok(dx);
    }
    by_number!(dy.dtype(), T => {
        if gpu.version(2) == 1 {
            let grid = dx.len().div_ceil(THREADS);
            return launch::conv2d_input_grad_v1::<T>(gpu, grid, dx.write(), dy.read(), w.read(), *g).map(|()| dx);
        }
        launch::conv2d_input_grad::<T>(gpu, tiles(g.n * g.h * g.w, g.c), dx.write(), dy.read(), w.read(), *g)
    })?;
    Ok(dx)
}

/// dw = d<y, dy>/dw.
pub fn weight_grad(gpu: &Arc<Gpu>, x: &Storage, dy: &Storage, g: &Conv2d) -> Result<Storage> {
    let mut dw = Storage::scratch(gpu, g.w_len(), x.dtype())?;
    let (pixels, columns) = (g.n * g.p * g.q, g.r * g.s * g.c);
    let tensor_cores = on_tensor_cores(gpu, x, &[g.c, g.k]);
    let tile = if tensor_cores { SMALL } else { TILE };
    let tiles = [columns.div_ceil(tile), g.k.div_ceil(tile)];
    let most = BLOCKS.div_ceil((tiles[0] * tiles[1]).max(1));
    let length = pixels.div_ceil(most).max(PIXELS);
    let parts = pixels.div_ceil(length);
    let (grid, length) = (Grid::new(tiles[0], tiles[1], parts), length as u32);
    let mut sums = None;
    if tensor_cores || parts > 1 && gpu.version(2) > 1 {
        sums = Some(Storage::scratch(gpu, parts * g.w_len(), DType::F32)?);
    }
    by_number!(x.dtype(), T => {
        match &mut sums {
            Some(sums) if tensor_cores => {
                let (large, grid) = tensor_tiles(gpu, columns, g.k, parts);
                let kernel = if large { launch::conv2d_weight_grad_large } else { launch::conv2d_weight_grad_small };
                kernel(gpu, grid, sums.write(), x.read(), dy.read(), *g, length)?;
            }
            Some(sums) => {
                launch::conv2d_weight_grad_parts::<T>(gpu, grid, sums.write(), x.read(), dy.read(), *g, length)?;
            }
            None if gpu.version(2) == 1 => {
                let grid = dw.len().div_ceil(THREADS);
                launch::conv2d_weight_grad_v1::<T>(gpu, grid, dw.write(), x.read(), dy.read(), *g)?;
            }
            None => launch::conv2d_weight_grad::<T>(gpu, grid, dw.write(), x.read(), dy.read(), *g, length)?,
        }
        let Some(sums) = sums else { return Ok(dw) };
        let sizes = SumSizes { outer: 1, middle: parts, inner: g.w_len(), chunk: parts };
        launch::sum_parts::<T>(gpu, g.w_len().div_ceil(COLUMNS), dw.write(), sums.read(), sizes)
    })?;
    Ok(dw)
}
