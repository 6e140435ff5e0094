//! Element-wise loops, in parallel and with the machine's widest vectors.

use super::simd::vectorize;
use super::{Buffer, Float};
use rayon::prelude::*;

/// Elements a task works on: 64 KiB of f32, a piece that stays in the caches.
pub(crate) const CHUNK: usize = 1 << 14;

/// f(x) of every element.
pub(crate) fn map<T: Float>(x: &[T], f: impl Fn(T) -> T + Sync) -> Buffer<T> {
    let mut out = Buffer::scratch(x.len());
    for_chunks(&mut out, CHUNK, |i, out| {
        let x = &x[i * CHUNK..][..out.len()];
        vectorize(
            #[inline(always)]
            || {
                for (o, &x) in out.iter_mut().zip(x) {
                    *o = f(x);
                }
            },
        )
    });
    out
}

/// f(x, y) of every pair of elements.
pub(crate) fn map2<T: Float>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync) -> Buffer<T> {
    let mut out = Buffer::scratch(x.len());
    for_chunks(&mut out, CHUNK, |i, out| {
        let x = &x[i * CHUNK..][..out.len()];
        let y = &y[i * CHUNK..][..out.len()];
        vectorize(
            #[inline(always)]
            || {
                for ((o, &x), &y) in out.iter_mut().zip(x).zip(y) {
                    *o = f(x, y);
                }
            },
        )
    });
    out
}

/// Calls `f(i, piece i)` for the pieces of `out` of `size` elements, in parallel unless there is only one.
pub(crate) fn for_chunks<T: Send>(out: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if out.len() <= size {
        f(0, out);
    } else {
        out.par_chunks_mut(size).enumerate().for_each(|(i, piece)| f(i, piece));
    }
}
