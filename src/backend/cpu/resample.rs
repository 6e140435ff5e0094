//! Up- and downsampling by a separable filter: see `ops/resample.rs` for the formula.

use super::simd::vectorize;
use super::{Buffer, Float, Storage, by_float};
use crate::backend::params::Resample;
use rayon::prelude::*;

/// x [N, H, W, C] -> y [N, P, Q, C]; taps [K], the filter of both axes.
pub fn forward(x: &Storage, taps: &[f64], g: &Resample) -> Storage {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let taps: Vec<T> = taps.iter().map(|&t| T::of(t)).collect();
        let mut y = Buffer::<T>::scratch(g.n * g.p * g.q * g.c);
        y.par_chunks_mut(g.q * g.c).enumerate().for_each_init(
            || Buffer::<T>::scratch(g.w * g.c),
            |column_sums, (i, y)| {
                let (n, p) = (i / g.p, i % g.p);
                let image = &x[n * g.h * g.w * g.c..][..g.h * g.w * g.c];
                vectorize(
                    #[inline(always)]
                    || {
                        filter_rows(image, &taps, p, g, column_sums);
                        filter_columns(column_sums, &taps, g, y);
                    },
                )
            },
        );
        T::store(y)
    })
}

/// Which input an output position reads with a tap, if any: `out * down + tap - pad` on the grid with `up - 1` zeros
/// between neighbours.
#[inline(always)]
fn source(out: usize, tap: usize, up: usize, down: usize, pad: isize, size: usize) -> Option<usize> {
    let at = (out * down + tap) as isize - pad;
    (at >= 0 && (at as usize).is_multiple_of(up) && (at as usize / up) < size).then(|| at as usize / up)
}

/// out [W, C] = the filter along H at output row p.
#[inline(always)]
fn filter_rows<T: Float>(image: &[T], taps: &[T], p: usize, g: &Resample, out: &mut [T]) {
    out.fill(T::ZERO);
    for (r, &tap) in taps.iter().enumerate() {
        if let Some(h) = source(p, r, g.up, g.down, g.pad_top, g.h) {
            for (o, &x) in out.iter_mut().zip(&image[h * g.w * g.c..][..g.w * g.c]) {
                *o += tap * x;
            }
        }
    }
}

/// y [Q, C] = the filter along W of row [W, C].
#[inline(always)]
fn filter_columns<T: Float>(row: &[T], taps: &[T], g: &Resample, y: &mut [T]) {
    for (q, y) in y.chunks_exact_mut(g.c).enumerate() {
        y.fill(T::ZERO);
        for (s, &tap) in taps.iter().enumerate() {
            if let Some(w) = source(q, s, g.up, g.down, g.pad_left, g.w) {
                for (y, &x) in y.iter_mut().zip(&row[w * g.c..][..g.c]) {
                    *y += tap * x;
                }
            }
        }
    }
}
