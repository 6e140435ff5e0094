//! The f32 kernels: which algorithm serves which shape.
//!
//! Convolution is linear in x and in w, so these three functions are closed under differentiation of any order.

use super::direct::Pass;
use super::finish::Finish;
use super::{Epilogue, direct, gather};
use crate::backend::cpu::gemm::pack::Source;
use crate::backend::cpu::gemm::{Columns, transposed};
use crate::backend::cpu::simd::Isa;
use crate::backend::params::Conv2d;

fn check(g: &Conv2d, x: usize, w: usize, y: usize) {
    assert!(x == g.x_len() && w == g.w_len() && y == g.y_len(), "x {x}, w {w}, y {y} numbers for {g:?}");
}

/// y [N,P,Q,K] = (conv(x [N,H,W,C], w [K,R,S,C]) + bias + time bias + residual) * scale.
pub fn forward(isa: Isa, x: &[f32], w: &[f32], g: &Conv2d, e: &Epilogue<f32>, y: &mut [f32]) {
    check(g, x.len(), w.len(), y.len());
    if y.is_empty() {
        return;
    }
    let finish = Finish::new(g, e, y);
    direct::run(isa, &Pass::forward(g), x, w, finish);
}

/// dx [N,H,W,C] = d<y, dy>/dx for dy [N,P,Q,K].
pub fn input_grad(isa: Isa, dy: &[f32], w: &[f32], g: &Conv2d, dx: &mut [f32]) {
    check(g, dx.len(), w.len(), dy.len());
    if dx.is_empty() {
        return;
    }
    let finish = Finish::plain(g.c, dx);
    for pass in Pass::input_grad(g) {
        direct::run(isa, &pass, dy, w, finish);
    }
}

/// dw [K,R,S,C] = d<y, dy>/dw for x [N,H,W,C], dy [N,P,Q,K].
pub fn weight_grad(isa: Isa, x: &[f32], dy: &[f32], g: &Conv2d, dw: &mut [f32]) {
    check(g, x.len(), dw.len(), dy.len());
    if dw.is_empty() {
        return;
    }
    if dy.is_empty() {
        return dw.fill(0.0);
    }
    // dw [K, RSC] = dy^T [K, NPQ] times x gathered under the taps [NPQ, RSC].
    let pixels = g.n * g.p * g.q;
    let a = Source { p: dy.as_ptr(), k: pixels, n: g.k, k_step: g.k, n_step: 1 };
    let n = g.r * g.s * g.c;
    let pack = gather::columns(isa, g, x);
    // SAFETY: `check` made sure of the sizes.
    unsafe { transposed(isa, a, Columns::Packed { n, pack: &pack }, dw, n, 1.0, 0.0) }
}
