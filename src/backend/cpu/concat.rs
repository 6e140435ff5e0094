//! Joining two tensors along the last axis, and cutting a piece out of it or putting it back among zeros.

use super::map::{CHUNK, for_chunks};
use super::{Buffer, Float, Storage, by_float};

/// [M, A] and [M, B] -> [M, A + B].
pub fn forward(x: &Storage, y: &Storage, a: usize, b: usize) -> Storage {
    by_float!(x.dtype(), T => {
        let (x, y) = (T::slice(x), T::slice(y));
        let mut out = Buffer::<T>::scratch(x.len() + y.len());
        let rows = (CHUNK / (a + b)).max(1);
        for_chunks(&mut out, rows * (a + b), |i, out| {
            for (m, row) in (i * rows..).zip(out.chunks_exact_mut(a + b)) {
                row[..a].copy_from_slice(&x[m * a..][..a]);
                row[a..].copy_from_slice(&y[m * b..][..b]);
            }
        });
        T::store(out)
    })
}

/// Columns `start..start + len` of [M, C] -> [M, len].
pub fn slice(x: &Storage, c: usize, start: usize, len: usize) -> Storage {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let mut out = Buffer::<T>::scratch(x.len() / c * len);
        let rows = (CHUNK / len).max(1);
        for_chunks(&mut out, rows * len, |i, out| {
            for (m, row) in (i * rows..).zip(out.chunks_exact_mut(len)) {
                row.copy_from_slice(&x[m * c + start..][..len]);
            }
        });
        T::store(out)
    })
}

/// The transpose of [`slice`]: [M, len] -> [M, C], zero outside of columns `start..start + len`.
pub fn embed(x: &Storage, c: usize, start: usize, len: usize) -> Storage {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let mut out = Buffer::<T>::scratch(x.len() / len * c);
        let rows = (CHUNK / c).max(1);
        for_chunks(&mut out, rows * c, |i, out| {
            for (m, row) in (i * rows..).zip(out.chunks_exact_mut(c)) {
                row.fill(T::ZERO);
                row[start..start + len].copy_from_slice(&x[m * len..][..len]);
            }
        });
        T::store(out)
    })
}
