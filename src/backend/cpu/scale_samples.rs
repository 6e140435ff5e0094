//! Every sample of a batch times a number of its own.

use super::map::for_chunks;
use super::{Buffer, Float, Storage, by_float};

/// [N, ...] times [N].
pub fn forward(x: &Storage, coefficients: &Storage) -> Storage {
    by_float!(x.dtype(), T => {
        let (x, coefficients) = (T::slice(x), T::slice(coefficients));
        let size = x.len() / coefficients.len();
        let mut out = Buffer::<T>::scratch(x.len());
        for_chunks(&mut out, size, |n, out| {
            for (o, &x) in out.iter_mut().zip(&x[n * size..]) {
                *o = coefficients[n] * x;
            }
        });
        T::store(out)
    })
}
