//! Convolutions by our own kernels: see kernels/conv2d.cu for the versions.

use std::sync::Arc;

use half::bf16;

use super::packs::in_whole_packs;
use super::{Finish, Task};
use crate::Result;
use crate::backend::cuda::launch::{self, Grid};
use crate::backend::cuda::{DType, Gpu, In, Number, Storage, by_number};
use crate::backend::params::{Conv2d, Conv2dIndex, SumSizes};

/// Threads of a block of version 1, and the tile of version 2, as in kernels/tiled.cuh.
const THREADS: usize = 256;
const TILE: usize = 64;
/// Tiles of versions 3 and 4, and bytes of shared memory that a block of them has at most, as in kernels/mma.cuh.
const SMALL: usize = 64;
const LARGE: usize = 128;
const SHARED_SMALL: usize = 40 << 10;
const SHARED_LARGE: usize = 80 << 10;
/// Pixels that a weight gradient multiplies at a time.
const DEPTH: usize = 32;
/// Columns that a block of kernels/sum.cu adds up.
const COLUMNS: usize = 32;
/// Large tiles that an H200 computes at once, two on each multiprocessor.
const SLOTS: usize = 2 * 132;
/// Writing and reading the sums of a part takes as long as multiplying so many pixels: 8 bytes at 4.3 TB/s beside
/// 2 FLOP at 400 TFLOP/s.
const PIXELS_OF_SUMS: usize = 400;

/// The version that computes where nothing was measured: on tensor cores tiles of the size that should be done earlier on
/// this GPU; an output adds up in the same order in both.
pub fn usual(gpu: &Gpu, task: &Task, g: &Conv2d) -> usize {
    let turns = |tile| {
        let blocks: usize = grid(tile, task, g).blocks.iter().map(|&n| n as usize).product();
        blocks.div_ceil(gpu.multiprocessors())
    };
    // Four times the work, but half the reading of shared memory for each product, which is what takes the time.
    let large_takes = 2;
    gpu.version(match on_tensor_cores(task) {
        true if large_takes * turns(LARGE) <= turns(SMALL) => 4,
        true => 3,
        false => 2,
    })
}

/// The versions that may be the fastest.
pub fn versions(gpu: &Gpu, task: &Task) -> Vec<usize> {
    let newest = if on_tensor_cores(task) { 4 } else { 2 };
    let newest = gpu.version(newest);
    (newest.min(2)..=newest).collect()
}

/// Whether tensor cores can do it, once all channels come in whole packs.
fn on_tensor_cores(task: &Task) -> bool {
    task.dtype() == DType::BF16
}

/// A block for each tile of the product of matrices that the task is, and for each part that it is cut into.
fn grid(tile: usize, task: &Task, g: &Conv2d) -> Grid {
    let (rows, columns, parts) = match task {
        Task::Forward { .. } => (g.n * g.p * g.q, g.k, 1),
        Task::InputGrad { .. } => (g.n * g.h * g.w, g.c, 1),
        Task::WeightGrad { .. } => (g.r * g.s * g.c, g.k, cut(g)[0]),
    };
    Grid::new(rows.div_ceil(tile), columns.div_ceil(tile), parts)
}

/// Parts that the pixels of a weight gradient are cut into, and the pixels in each: what should be the fastest on an
/// H200, and the same on every GPU, so that all add in the same order.
fn cut(g: &Conv2d) -> [usize; 2] {
    let pixels = g.n * g.p * g.q;
    let tiles = ((g.r * g.s * g.c).div_ceil(LARGE) * g.k.div_ceil(LARGE)).max(1);
    let cost = |&parts: &usize| {
        let turns = (tiles * parts).div_ceil(SLOTS);
        turns * SLOTS * pixels / (tiles * parts) + PIXELS_OF_SUMS * parts
    };
    let parts = (1..=SLOTS).min_by_key(cost).expect("at least one part");
    let length = pixels.div_ceil(parts).max(1).next_multiple_of(DEPTH);
    [pixels.div_ceil(length), length]
}

/// By a version that is not newer than the device's, and that can.
pub fn compute(gpu: &Arc<Gpu>, task: &Task, g: &Conv2d, version: usize) -> Result<Storage> {
    if version > 2 {
        in_whole_packs(gpu, task, g, |task, g| on_tensors(gpu, task, g, version > 3))
    } else {
        by_number!(task.dtype(), T => in_float::<T>(gpu, task, g, version))
    }
}

fn optional<T: Number>(term: Option<&Storage>) -> In<'_, T> {
    term.map_or(In::NULL, Storage::read)
}

/// Versions 3 and 4.
fn on_tensors(gpu: &Arc<Gpu>, task: &Task, g: &Conv2d, large: bool) -> Result<Storage> {
    let mut result = Storage::scratch(gpu, task.len(g), task.dtype())?;
    let (tile, shared) = if large { (LARGE, SHARED_LARGE) } else { (SMALL, SHARED_SMALL) };
    let (grid, index) = (grid(tile, task, g).shared(shared), Conv2dIndex::from(g));
    match *task {
        Task::Forward { x, w, finish: Finish { bias, time_bias, residual, scale } } => {
            let kernel = if large { launch::conv2d_forward_large } else { launch::conv2d_forward_small };
            let [bias, time_bias, residual] = [bias, time_bias, residual].map(optional::<bf16>);
            kernel(gpu, grid, result.write(), x.read(), w.read(), bias, time_bias, residual, index, scale)
        }
        Task::InputGrad { dy, w } => {
            let kernel = if large { launch::conv2d_input_grad_large } else { launch::conv2d_input_grad_small };
            kernel(gpu, grid, result.write(), dy.read(), w.read(), index)
        }
        Task::WeightGrad { x, dy } => {
            let [parts, length] = cut(g);
            let mut sums = Storage::scratch(gpu, parts * g.w_len(), DType::F32)?;
            let kernel = if large { launch::conv2d_weight_grad_large } else { launch::conv2d_weight_grad_small };
            kernel(gpu, grid, sums.write(), x.read(), dy.read(), index, length as u32)?;
            add_parts::<bf16>(gpu, g, &sums, &mut result)
        }
    }?;
    Ok(result)
}

/// Versions 1 and 2.
fn in_float<T: Number>(gpu: &Arc<Gpu>, task: &Task, g: &Conv2d, version: usize) -> Result<Storage> {
    let mut result = Storage::scratch(gpu, task.len(g), task.dtype())?;
    let each = result.len().div_ceil(THREADS);
    let (tiles, index) = (grid(TILE, task, g), Conv2dIndex::from(g));
    match *task {
        Task::Forward { x, w, finish: Finish { bias, time_bias, residual, scale } } => {
            let [bias, time_bias, residual] = [bias, time_bias, residual].map(optional::<T>);
            let (y, x, w) = (result.write(), x.read(), w.read());
            match version {
                1 => launch::conv2d_forward_v1::<T>(gpu, each, y, x, w, bias, time_bias, residual, *g, scale),
                _ => launch::conv2d_forward::<T>(gpu, tiles, y, x, w, bias, time_bias, residual, index, scale),
            }
        }
        Task::InputGrad { dy, w } => match version {
            1 => launch::conv2d_input_grad_v1::<T>(gpu, each, result.write(), dy.read(), w.read(), *g),
            _ => launch::conv2d_input_grad::<T>(gpu, tiles, result.write(), dy.read(), w.read(), index),
        },
        Task::WeightGrad { x, dy } => {
            let ([parts, length], x, dy) = (cut(g), x.read(), dy.read());
            if version == 1 {
                launch::conv2d_weight_grad_v1::<T>(gpu, each, result.write(), x, dy, *g)
            } else if parts == 1 {
                launch::conv2d_weight_grad::<T>(gpu, tiles, result.write(), x, dy, index, length as u32)
            } else {
                let mut sums = Storage::scratch(gpu, parts * g.w_len(), DType::F32)?;
                launch::conv2d_weight_grad_parts::<T>(gpu, tiles, sums.write(), x, dy, index, length as u32)?;
                add_parts::<T>(gpu, g, &sums, &mut result)
            }
        }
    }?;
    Ok(result)
}

fn add_parts<T: Number>(gpu: &Arc<Gpu>, g: &Conv2d, sums: &Storage, dw: &mut Storage) -> Result<()> {
    let parts = cut(g)[0];
    let sizes = SumSizes { outer: 1, middle: parts, inner: g.w_len(), chunk: parts };
    launch::sum_parts::<T>(gpu, g.w_len().div_ceil(COLUMNS), dw.write(), sums.read(), sizes)
}
