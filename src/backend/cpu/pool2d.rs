//! Windows of an image, their maximum or mean: see `ops/pool2d.rs` for the formula.

use super::simd::vectorize;
use super::{Buffer, Float, Storage, by_float};
use crate::backend::params::Pool2d;
use rayon::prelude::*;

/// x [N, H, W, C] -> y [N, P, Q, C].
pub fn forward(x: &Storage, g: &Pool2d) -> Storage {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let mut y = Buffer::<T>::scratch(g.n * g.p * g.q * g.c);
        y.par_chunks_mut(g.q * g.c).enumerate().for_each(|(i, y)| {
            let image = &x[i / g.p * g.h * g.w * g.c..][..g.h * g.w * g.c];
            vectorize(
                #[inline(always)]
                || row(image, i % g.p, g, y),
            )
        });
        T::store(y)
    })
}

/// Row p of an output image.
#[inline(always)]
fn row<T: Float>(image: &[T], p: usize, g: &Pool2d, y: &mut [T]) {
    let rows = g.window(p, g.h);
    for (q, y) in y.chunks_exact_mut(g.c).enumerate() {
        let columns = g.window(q, g.w);
        let count = T::of((rows.len() * columns.len()) as f64);
        let mut pixels = rows.clone().flat_map(|i| columns.clone().map(move |j| &image[(i * g.w + j) * g.c..][..g.c]));
        y.copy_from_slice(pixels.next().expect("a window has a pixel inside of the image"));
        for pixel in pixels {
            if g.average {
                y.iter_mut().zip(pixel).for_each(|(y, &x)| *y += x);
            } else {
                y.iter_mut().zip(pixel).for_each(|(y, &x)| *y = y.max(x));
            }
        }
        if g.average {
            y.iter_mut().for_each(|y| *y = *y / count);
        }
    }
}
