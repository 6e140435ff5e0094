//! Convolution and matrix product as plain loops that look like their formulas, for f32 and f64.
//!
//! They are the f64 path, which gradient checks rest on, and the oracle of the fast f32 kernels.

use super::Float;
use super::conv2d::Epilogue;
use crate::backend::params::{Conv2d, Gemm};

/// Calls f(index in x, index in w, index in y) for every product x * w that is added to y.
fn products(g: &Conv2d, mut f: impl FnMut(usize, usize, usize)) {
    for n in 0..g.n {
        for p in 0..g.p {
            for q in 0..g.q {
                for r in 0..g.r {
                    for s in 0..g.s {
                        let (h, w) =
                            ((p * g.stride + r).wrapping_sub(g.pad[0]), (q * g.stride + s).wrapping_sub(g.pad[2]));
                        if h >= g.h || w >= g.w {
                            continue; // padding
                        }
                        for k in 0..g.k {
                            for c in 0..g.c {
                                let xi = ((n * g.h + h) * g.w + w) * g.c + c;
                                let wi = ((k * g.r + r) * g.s + s) * g.c + c;
                                let yi = ((n * g.p + p) * g.q + q) * g.k + k;
                                f(xi, wi, yi);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// y = (conv(x, w) + bias + time bias + residual) * scale.
pub fn conv2d_forward<T: Float>(x: &[T], w: &[T], g: &Conv2d, e: &Epilogue<T>, y: &mut [T]) {
    y.fill(T::ZERO);
    products(g, |xi, wi, yi| y[yi] += x[xi] * w[wi]);
    for (i, y) in y.iter_mut().enumerate() {
        let (n, k) = (i / (g.p * g.q * g.k), i % g.k);
        *y += e.bias.map_or(T::ZERO, |b| b[k]);
        *y += e.time_bias.map_or(T::ZERO, |b| b[n * g.k + k]);
        *y += e.residual.map_or(T::ZERO, |r| r[i]);
        *y *= e.scale;
    }
}

/// dx = d<y, dy>/dx.
pub fn conv2d_input_grad<T: Float>(dy: &[T], w: &[T], g: &Conv2d, dx: &mut [T]) {
    dx.fill(T::ZERO);
    products(g, |xi, wi, yi| dx[xi] += dy[yi] * w[wi]);
}

/// dw = d<y, dy>/dw.
pub fn conv2d_weight_grad<T: Float>(x: &[T], dy: &[T], g: &Conv2d, dw: &mut [T]) {
    dw.fill(T::ZERO);
    products(g, |xi, wi, yi| dw[wi] += x[xi] * dy[yi]);
}

/// C = alpha op(A) op(B) + beta C for every matrix of the batch.
pub fn matmul<T: Float>(g: &Gemm, a: &[T], b: &[T], c: &mut [T]) {
    for i in 0..g.batch {
        for m in 0..g.m {
            for n in 0..g.n {
                let mut sum = T::ZERO;
                for k in 0..g.k {
                    let ai = if g.trans_a { k * g.lda + m } else { m * g.lda + k };
                    let bi = if g.trans_b { n * g.ldb + k } else { k * g.ldb + n };
                    sum += a[i * g.stride_a + ai] * b[i * g.stride_b + bi];
                }
                let c = &mut c[i * g.stride_c + m * g.ldc + n];
                let old = if g.beta == 0.0 { T::ZERO } else { T::of(g.beta) * *c };
                *c = T::of(g.alpha) * sum + old;
            }
        }
    }
}
