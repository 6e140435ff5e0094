//! Sums over the middle axis of [outer, middle, inner], and the copying back that is their transpose.

use super::map::for_chunks;
use super::simd::vectorize;
use super::{Buffer, Float, Storage, by_float};
use rayon::prelude::*;

/// Terms added up in the number type itself; their sums are added up in f64. Fixed, so that the result is the same
/// for any number of threads.
const BLOCK: usize = 256;
/// Columns a task adds up.
const COLUMNS: usize = 512;

/// [outer, middle, inner] -> [outer, inner].
pub fn sum_middle(x: &Storage, [outer, middle, inner]: [usize; 3]) -> Storage {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let mut out = Buffer::<T>::scratch(outer * inner);
        match inner {
            1 => for_chunks(&mut out, 1, |o, out| out[0] = sum_row(&x[o * middle..][..middle])),
            _ => sum_columns(x, [outer, middle, inner], &mut out),
        }
        T::store(out)
    })
}

/// The sum of a contiguous row.
pub(super) fn sum_row<T: Float>(x: &[T]) -> T {
    const LANES: usize = 16;
    let block_sum = |block: &[T]| {
        vectorize(
            #[inline(always)]
            || {
                let mut lanes = [T::ZERO; LANES];
                let chunks = block.chunks_exact(LANES);
                let tail = chunks.remainder();
                for chunk in chunks {
                    for (lane, &x) in lanes.iter_mut().zip(chunk) {
                        *lane += x;
                    }
                }
                lanes.into_iter().chain(tail.iter().copied()).map(T::f64).sum::<f64>()
            },
        )
    };
    let blocks = x.chunks(BLOCK * LANES);
    let total: f64 = if x.len() > 16 * BLOCK * LANES {
        let parts: Vec<f64> = x.par_chunks(BLOCK * LANES).map(block_sum).collect();
        parts.into_iter().sum()
    } else {
        blocks.map(block_sum).sum()
    };
    T::of(total)
}

/// Sums of the columns of each [middle, inner] matrix. Blocks of rows run in parallel; their sums are then added up.
fn sum_columns<T: Float>(x: &[T], [outer, middle, inner]: [usize; 3], out: &mut [T]) {
    let blocks = middle.div_ceil(BLOCK).max(1);
    let mut partial = Buffer::<T>::scratch(outer * blocks * inner);
    let column_tasks = inner.div_ceil(COLUMNS);
    // A row of `partial` is cut into pieces of COLUMNS, so that one tall or one wide matrix alike keeps all threads busy.
    let mut pieces: Vec<&mut [T]> = partial.chunks_mut(inner).flat_map(|row| row.chunks_mut(COLUMNS)).collect();
    for_chunks(&mut pieces, 1, |i, piece| {
        let (row, column) = (i / column_tasks, i % column_tasks * COLUMNS);
        let (o, block) = (row / blocks, row % blocks);
        let rows = block * BLOCK..(block * BLOCK + BLOCK).min(middle);
        let sums = &mut *piece[0];
        vectorize(
            #[inline(always)]
            || {
                sums.fill(T::ZERO);
                for m in rows {
                    let x = &x[(o * middle + m) * inner + column..][..sums.len()];
                    for (s, &x) in sums.iter_mut().zip(x) {
                        *s += x;
                    }
                }
            },
        )
    });
    for (o, out) in out.chunks_mut(inner).enumerate() {
        let parts = &partial[o * blocks * inner..][..blocks * inner];
        if blocks == 1 {
            out.copy_from_slice(parts);
        } else {
            for (c, out) in out.iter_mut().enumerate() {
                *out = T::of(parts.iter().skip(c).step_by(inner).map(|p| p.f64()).sum());
            }
        }
    }
}

/// [outer, inner] -> [outer, middle, inner].
pub fn expand_middle(x: &Storage, [_, middle, inner]: [usize; 3]) -> Storage {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let mut out = Buffer::<T>::scratch(x.len() * middle);
        if inner == 1 {
            for (row, &x) in out.chunks_mut(middle.max(1)).zip(x) {
                row.fill(x);
            }
        } else {
            for_chunks(&mut out, middle.max(1) * inner, |o, rows| {
                for row in rows.chunks_exact_mut(inner) {
                    row.copy_from_slice(&x[o * inner..][..inner]);
                }
            });
        }
        T::store(out)
    })
}
