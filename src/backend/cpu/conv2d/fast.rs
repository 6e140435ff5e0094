//! The f32 kernels: which algorithm serves which shape.
//!
//! Convolution is linear in x and in w, so these three functions are closed under differentiation of any order.

use super::finish::Finish;
use super::{Epilogue, direct, winograd};
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
    if winograd::pays(g) {
        winograd::forward(isa, x, w, g, finish);
    } else {
        direct::forward(isa, x, w, g, finish);
    }
}

/// dx [N,H,W,C] = d<y, dy>/dx for dy [N,P,Q,K].
pub fn input_grad(isa: Isa, dy: &[f32], w: &[f32], g: &Conv2d, dx: &mut [f32]) {
    check(g, dx.len(), w.len(), dy.len());
    if dx.is_empty() {
        return;
    }
    let finish = Finish::plain(g.c, dx);
    if winograd::pays(g) {
        winograd::input_grad(isa, dy, w, g, finish);
    } else {
        direct::input_grad(isa, dy, w, g, finish);
    }
}

/// dw [K,R,S,C] = d<y, dy>/dw for x [N,H,W,C], dy [N,P,Q,K].
pub fn weight_grad(isa: Isa, x: &[f32], dy: &[f32], g: &Conv2d, dw: &mut [f32]) {
    check(g, x.len(), dw.len(), dy.len());
    if dy.is_empty() {
        return dw.fill(0.0);
    }
    if winograd::pays(g) {
        winograd::weight_grad(isa, x, dy, g, dw);
    } else {
        direct::weight_grad(isa, x, dy, g, dw);
    }
}
