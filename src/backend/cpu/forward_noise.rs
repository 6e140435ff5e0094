//! The pair of noisy images (x_t, x_{t+1}) of a batch in one pass: see `ops/forward_noise.rs`.

use super::{Buffer, Float, Storage, by_float, random};
use crate::backend::philox::Key;
use rayon::prelude::*;

/// x_t = a x_0 + b noise_t, x_{t+1} = c x_t + d noise_{t+1}, with coefficients [a, b, c, d] of one number a sample.
pub fn pair(x0: &Storage, noise_t: &Storage, noise_t1: &Storage, coefficients: &[Vec<f64>; 4]) -> (Storage, Storage) {
    by_float!(x0.dtype(), T => {
        let (x0, noise_t, noise_t1) = (T::slice(x0), T::slice(noise_t), T::slice(noise_t1));
        let size = x0.len() / coefficients[0].len();
        let (mut x_t, mut x_t1) = (Buffer::<T>::scratch(x0.len()), Buffer::<T>::scratch(x0.len()));
        x_t.par_chunks_mut(size).zip(x_t1.par_chunks_mut(size)).enumerate().for_each(|(n, (x_t, x_t1))| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| T::of(coefficients[i][n]));
            let at = n * size..(n + 1) * size;
            let sources = x0[at.clone()].iter().zip(&noise_t[at.clone()]).zip(&noise_t1[at]);
            for ((x_t, x_t1), ((&x0, &noise_t), &noise_t1)) in x_t.iter_mut().zip(x_t1).zip(sources) {
                *x_t = a * x0 + b * noise_t;
                *x_t1 = c * *x_t + d * noise_t1;
            }
        });
        (T::store(x_t), T::store(x_t1))
    })
}

/// The same with noise that is drawn: element i is number i of the sequences `keys`.
pub fn pair_drawn(x0: &Storage, keys: [Key; 2], coefficients: &[Vec<f64>; 4]) -> (Storage, Storage) {
    let [noise_t, noise_t1] = keys.map(|key| random::normal(x0.len(), key, x0.dtype()));
    pair(x0, &noise_t, &noise_t1, coefficients)
}
