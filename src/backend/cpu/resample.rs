//! Up- and downsampling by a separable filter: see `ops/resample.rs` for the formula.

use super::simd::vectorize;
use super::{Buffer, Float, Storage, by_float};
use crate::backend::params::Resample;
use rayon::prelude::*;

/// x [N, H, W, C] -> y [N, P, Q, C]; `taps` is the filter of both axes.
pub fn forward(x: &Storage, taps: &[f64], g: &Resample) -> Storage {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let rows = terms::<T>(taps, g.p, g.h, g.pad_top, g);
        let columns = terms::<T>(taps, g.q, g.w, g.pad_left, g);
        let mut y = Buffer::<T>::scratch(g.n * g.p * g.q * g.c);
        y.par_chunks_mut(g.q * g.c).enumerate().for_each_init(
            || Buffer::<T>::scratch(g.w * g.c),
            |filtered, (i, y)| {
                let image = &x[i / g.p * g.h * g.w * g.c..][..g.h * g.w * g.c];
                vectorize(
                    #[inline(always)]
                    || {
                        add_up(filtered, image, &rows[i % g.p]);
                        for (y, column) in y.chunks_exact_mut(g.c).zip(&columns) {
                            add_up(y, filtered, column);
                        }
                    },
                )
            },
        );
        T::store(y)
    })
}

/// What an output position of an axis adds up: the taps that meet an input, and which.
type Terms<T> = Vec<(T, usize)>;

/// For each of `outputs` positions: tap k meets grid point `out * down + k - pad`, which is input i where it is i * up.
fn terms<T: Float>(taps: &[f64], outputs: usize, inputs: usize, pad: isize, g: &Resample) -> Vec<Terms<T>> {
    let input = |out: usize, k: usize| {
        let point = usize::try_from((out * g.down + k) as isize - pad).ok()?;
        (point.is_multiple_of(g.up) && point / g.up < inputs).then_some(point / g.up)
    };
    let of_output = |out| (0..).zip(taps).filter_map(|(k, &tap)| Some((T::of(tap), input(out, k)?))).collect();
    (0..outputs).map(of_output).collect()
}

/// out = sum of tap * piece i of x, pieces as long as `out`. All terms at once, so that `out` is written once.
#[inline(always)]
fn add_up<T: Float>(out: &mut [T], x: &[T], terms: &Terms<T>) {
    let len = out.len();
    let piece = |i: usize| &x[i * len..][..len];
    match terms[..] {
        [(a, i), (b, j)] => {
            for ((o, &x), &y) in out.iter_mut().zip(piece(i)).zip(piece(j)) {
                *o = a * x + b * y;
            }
        }
        [(a, i), (b, j), (c, k), (d, l)] => {
            let pieces = piece(i).iter().zip(piece(j)).zip(piece(k)).zip(piece(l));
            for (o, (((&x, &y), &z), &w)) in out.iter_mut().zip(pieces) {
                *o = a * x + b * y + (c * z + d * w);
            }
        }
        _ => {
            out.fill(T::ZERO);
            for &(tap, i) in terms {
                for (o, &x) in out.iter_mut().zip(piece(i)) {
                    *o += tap * x;
                }
            }
        }
    }
}
