//! One draw from the Gaussian posterior q(x_t | x_{t+1}, x_0) in one pass: see `ops/posterior_sample.rs`.

use super::map::for_chunks;
use super::{Buffer, Float, Storage, by_float, random};

/// a x_0 + b x_{t+1} + s noise, with coefficients [a, b, s] [3, N]. Where s is 0 the noise is not read.
pub fn forward(x0: &Storage, x_t1: &Storage, noise: &Storage, coefficients: &Storage) -> Storage {
    by_float!(x0.dtype(), T => {
        let (x0, x_t1, noise) = (T::slice(x0), T::slice(x_t1), T::slice(noise));
        let (samples, coefficients) = (coefficients.len() / 3, T::slice(coefficients));
        let size = x0.len() / samples;
        let mut out = Buffer::<T>::scratch(x0.len());
        for_chunks(&mut out, size, |n, out| {
            let [a, b, s] = [0, 1, 2].map(|i| coefficients[i * samples + n]);
            let at = n * size..(n + 1) * size;
            let means = x0[at.clone()].iter().zip(&x_t1[at.clone()]).map(|(&x0, &x_t1)| a * x0 + b * x_t1);
            if s == T::ZERO {
                out.iter_mut().zip(means).for_each(|(o, mean)| *o = mean);
            } else {
                out.iter_mut().zip(means).zip(&noise[at]).for_each(|((o, mean), &noise)| *o = mean + s * noise);
            }
        });
        T::store(out)
    })
}

/// The same with noise that is drawn: element i is number i of the sequence `key`.
pub fn drawn(x0: &Storage, x_t1: &Storage, key: &Storage, coefficients: &Storage) -> Storage {
    forward(x0, x_t1, &random::normal(x0.len(), random::key(key), x0.dtype()), coefficients)
}
