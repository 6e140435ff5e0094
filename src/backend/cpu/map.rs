//! Element-wise loops over one or two arrays, in parallel.

use super::{Buffer, Float};
use rayon::prelude::*;

/// Elements a task works on: 64 KiB of f32, a piece that stays in the caches.
pub(crate) const CHUNK: usize = 1 << 14;

/// f(x) of every element.
pub(crate) fn map<T: Float>(x: &[T], f: impl Fn(T) -> T + Sync) -> Buffer<T> {
    let mut out = Buffer::scratch(x.len());
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = f(x);
        }
    });
    out
}

/// f(x, y) of every pair of elements.
pub(crate) fn map2<T: Float>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync) -> Buffer<T> {
    let mut out = Buffer::scratch(x.len());
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(y.par_chunks(CHUNK)).for_each(|((out, x), y)| {
        for ((o, &x), &y) in out.iter_mut().zip(x).zip(y) {
            *o = f(x, y);
        }
    });
    out
}
