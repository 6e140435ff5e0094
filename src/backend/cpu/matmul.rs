//! Matrix products: see `backend/params.rs` for what a [`Gemm`] says.

use super::{Buffer, Float, Storage, by_float};
use crate::backend::params::Gemm;

pub fn forward(a: &Storage, b: &Storage, g: &Gemm) -> Storage {
    by_float!(a.dtype(), T => {
        let mut c = Buffer::scratch(g.batch * g.m * g.n);
        T::gemm(g, T::slice(a), T::slice(b), &mut c);
        T::store(c)
    })
}

/// A B^T + bias: a linear layer.
pub fn with_bias(a: &Storage, b: &Storage, bias: &Storage, g: &Gemm) -> Storage {
    by_float!(a.dtype(), T => {
        let mut c = Buffer::scratch(g.m * g.n);
        for row in c.chunks_exact_mut(g.n) {
            row.copy_from_slice(T::slice(bias));
        }
        T::gemm(&g.beta(1.0), T::slice(a), T::slice(b), &mut c);
        T::store(c)
    })
}
