//! One Adam step of all parameters, and their moving averages, each in one pass: see `ops/adam.rs` for the formulas.

use super::simd::vectorize;
use super::{Float, Storage, by_float};
use crate::backend::params::Adam;
use rayon::prelude::*;

const CHUNK: usize = 1 << 14;

/// Writes `params`, the moments `m` and `v`, and `ema` where there is one; nothing unless `health` is 0.
#[allow(clippy::too_many_arguments)] // that many tensors
pub fn step(
    params: Vec<&mut Storage>,
    m: Vec<&mut Storage>,
    v: Vec<&mut Storage>,
    ema: Vec<Option<&mut Storage>>,
    grads: Vec<&Storage>,
    of_step: &Storage,
    health: &Storage,
    p: &Adam,
) {
    for ((((param, m), v), ema), grad) in params.into_iter().zip(m).zip(v).zip(ema).zip(grads) {
        step_of_one(param, m, v, ema, grad, of_step, health, p);
    }
}

#[allow(clippy::too_many_arguments)]
fn step_of_one(
    param: &mut Storage,
    m: &mut Storage,
    v: &mut Storage,
    ema: Option<&mut Storage>,
    grad: &Storage,
    of_step: &Storage,
    health: &Storage,
    p: &Adam,
) {
    by_float!(param.dtype(), T => {
        if T::slice(health)[0] != T::ZERO {
            return;
        }
        let (grad, of_step) = (T::slice(grad), [T::slice(of_step)[0], T::slice(of_step)[1]]);
        let chunks = T::slice_mut(param)
            .par_chunks_mut(CHUNK)
            .zip(T::slice_mut(m).par_chunks_mut(CHUNK))
            .zip(T::slice_mut(v).par_chunks_mut(CHUNK))
            .zip(grad.par_chunks(CHUNK));
        match ema {
            None => chunks.for_each(|(((w, m), v), g)| adam(w, m, v, g, of_step, p)),
            Some(ema) => chunks.zip(T::slice_mut(ema).par_chunks_mut(CHUNK)).for_each(|((((w, m), v), g), ema)| {
                adam(w, m, v, g, of_step, p);
                average(ema, w, p.ema_decay);
            }),
        }
    })
}

fn adam<T: Float>(w: &mut [T], m: &mut [T], v: &mut [T], g: &[T], [step_size, root]: [T; 2], p: &Adam) {
    let [beta1, beta2] = [p.beta1, p.beta2].map(T::of);
    let [rest1, rest2] = [1.0 - p.beta1, 1.0 - p.beta2].map(T::of);
    let eps = T::of(p.eps);
    vectorize(
        #[inline(always)]
        || {
            for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
                *m = beta1 * *m + rest1 * g;
                *v = beta2 * *v + rest2 * g * g;
                *w -= step_size * *m / (v.sqrt() / root + eps);
            }
        },
    )
}

fn average<T: Float>(ema: &mut [T], w: &[T], decay: f64) {
    let (decay, rest) = (T::of(decay), T::of(1.0 - decay));
    vectorize(
        #[inline(always)]
        || {
            for (ema, &w) in ema.iter_mut().zip(w) {
                *ema = decay * *ema + rest * w;
            }
        },
    )
}
