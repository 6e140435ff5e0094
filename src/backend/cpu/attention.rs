//! Attention of one head: see `ops/attention.rs` for the formulas. The scores of one sample at a time are in memory.

use super::simd::vectorize;
use super::sum::sum_row;
use super::{Buffer, Float, Storage, by_float};
use crate::backend::params::{Attention, Gemm};
use rayon::prelude::*;

/// q, k, v [N, T, C] -> softmax(q k^T / sqrt(C)) v.
pub fn forward(q: &Storage, k: &Storage, v: &Storage, p: &Attention) -> Storage {
    by_float!(q.dtype(), F => {
        let (q, k, v) = (F::slice(q), F::slice(k), F::slice(v));
        let weights = weights::<F>(q, k, p);
        let mut out = Buffer::scratch(q.len());
        F::gemm(&Gemm::new(p.t, p.c, p.t).batch(p.n), &weights, v, &mut out);
        F::store(out)
    })
}

/// dq, dk, dv. With A = softmax(S), S = q k^T / sqrt(C): dv = A^T dy, dA = dy v^T, dS = A (dA - rowsum(A dA)),
/// dq = dS k / sqrt(C), dk = dS^T q / sqrt(C). A is computed again rather than kept.
pub fn backward(q: &Storage, k: &Storage, v: &Storage, dy: &Storage, p: &Attention) -> (Storage, Storage, Storage) {
    by_float!(q.dtype(), F => {
        let (q, k, v, dy) = (F::slice(q), F::slice(k), F::slice(v), F::slice(dy));
        let weights = weights::<F>(q, k, p);
        let [mut dq, mut dk, mut dv] = [0; 3].map(|_| Buffer::scratch(q.len()));
        F::gemm(&Gemm::new(p.t, p.c, p.t).trans_a().batch(p.n), &weights, dy, &mut dv);
        let mut ds = Buffer::<F>::scratch(weights.len());
        F::gemm(&Gemm::new(p.t, p.t, p.c).trans_b().batch(p.n), dy, v, &mut ds);
        ds.par_chunks_mut(p.t).zip(weights.par_chunks(p.t)).for_each(|(ds, a)| {
            let products: Vec<F> = ds.iter().zip(a).map(|(&da, &a)| a * da).collect();
            let sum = sum_row(&products);
            for (ds, &a) in ds.iter_mut().zip(a) {
                *ds = a * (*ds - sum);
            }
        });
        F::gemm(&Gemm::new(p.t, p.c, p.t).alpha(p.scale()).batch(p.n), &ds, k, &mut dq);
        F::gemm(&Gemm::new(p.t, p.c, p.t).trans_a().alpha(p.scale()).batch(p.n), &ds, q, &mut dk);
        (F::store(dq), F::store(dk), F::store(dv))
    })
}

/// softmax(q k^T / sqrt(C)), [N, T, T].
fn weights<F: Float>(q: &[F], k: &[F], p: &Attention) -> Buffer<F> {
    let mut scores = Buffer::scratch(p.n * p.t * p.t);
    F::gemm(&Gemm::new(p.t, p.t, p.c).trans_b().alpha(p.scale()).batch(p.n), q, k, &mut scores);
    scores.par_chunks_mut(p.t).for_each(|row| {
        let max = row.iter().copied().reduce(F::max).expect("at least one token");
        vectorize(
            #[inline(always)]
            || {
                for s in row.iter_mut() {
                    *s = (*s - max).exp();
                }
            },
        );
        let inverse = F::ONE / sum_row(row);
        for s in row.iter_mut() {
            *s *= inverse;
        }
    });
    scores
}
