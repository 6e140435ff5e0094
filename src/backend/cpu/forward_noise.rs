//! The pair of noisy images (x_t, x_{t+1}) of a batch in one pass: see `ops/forward_noise.rs`.

use super::{Buffer, Float, Storage, by_float, random};
use rayon::prelude::*;

/// x_t = a x_0 + b noise_t, x_{t+1} = c x_t + d noise_{t+1}, with coefficients [a, b, c, d] [4, N].
pub fn pair(x0: &Storage, noise_t: &Storage, noise_t1: &Storage, coefficients: &Storage) -> (Storage, Storage) {
    by_float!(x0.dtype(), T => {
        let (x0, noise_t, noise_t1) = (T::slice(x0), T::slice(noise_t), T::slice(noise_t1));
        let (samples, coefficients) = (coefficients.len() / 4, T::slice(coefficients));
        let size = x0.len() / samples;
        let (mut x_t, mut x_t1) = (Buffer::<T>::scratch(x0.len()), Buffer::<T>::scratch(x0.len()));
        x_t.par_chunks_mut(size).zip(x_t1.par_chunks_mut(size)).enumerate().for_each(|(n, (x_t, x_t1))| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| coefficients[i * samples + n]);
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

/// The same with noise that is drawn: element i is number i of the sequences that the keys name.
pub fn pair_drawn(x0: &Storage, key_t: &Storage, key_t1: &Storage, coefficients: &Storage) -> (Storage, Storage) {
    let [noise_t, noise_t1] = [key_t, key_t1].map(|key| random::normal(x0.len(), random::key(key), x0.dtype()));
    pair(x0, &noise_t, &noise_t1, coefficients)
}
