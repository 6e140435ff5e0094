//! 2-D convolution and its two gradients: see `ops/conv2d.rs`.

mod direct;
mod fast;
mod finish;
mod gather;
mod winograd;

use super::simd::isa;
use super::{Buffer, Float, Storage, by_float, naive};
use crate::backend::params::Conv2d;

/// What is done to a convolution's output before it is stored: (y + bias + time bias + residual) * scale.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// [K]
    pub bias: Option<&'a [T]>,
    /// [N, K]
    pub time_bias: Option<&'a [T]>,
    /// [N, P, Q, K]
    pub residual: Option<&'a [T]>,
    pub scale: T,
}

impl<T: Float> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Epilogue { bias: None, time_bias: None, residual: None, scale: T::ONE }
    }
}

/// The kernels of a number type: fast ones for f32, plain loops for f64.
trait Kernels: Float {
    fn forward(x: &[Self], w: &[Self], g: &Conv2d, e: &Epilogue<Self>, y: &mut [Self]);
    fn input_grad(dy: &[Self], w: &[Self], g: &Conv2d, dx: &mut [Self]);
    fn weight_grad(x: &[Self], dy: &[Self], g: &Conv2d, dw: &mut [Self]);
}

impl Kernels for f32 {
    fn forward(x: &[f32], w: &[f32], g: &Conv2d, e: &Epilogue<f32>, y: &mut [f32]) {
        fast::forward(isa(), x, w, g, e, y)
    }
    fn input_grad(dy: &[f32], w: &[f32], g: &Conv2d, dx: &mut [f32]) {
        fast::input_grad(isa(), dy, w, g, dx)
    }
    fn weight_grad(x: &[f32], dy: &[f32], g: &Conv2d, dw: &mut [f32]) {
        fast::weight_grad(isa(), x, dy, g, dw)
    }
}

impl Kernels for f64 {
    fn forward(x: &[f64], w: &[f64], g: &Conv2d, e: &Epilogue<f64>, y: &mut [f64]) {
        naive::conv2d_forward(x, w, g, e, y)
    }
    fn input_grad(dy: &[f64], w: &[f64], g: &Conv2d, dx: &mut [f64]) {
        naive::conv2d_input_grad(dy, w, g, dx)
    }
    fn weight_grad(x: &[f64], dy: &[f64], g: &Conv2d, dw: &mut [f64]) {
        naive::conv2d_weight_grad(x, dy, g, dw)
    }
}

pub fn forward(
    x: &Storage,
    w: &Storage,
    bias: Option<&Storage>,
    time_bias: Option<&Storage>,
    residual: Option<&Storage>,
    g: &Conv2d,
    scale: f64,
) -> Storage {
    by_float!(x.dtype(), T => {
        let mut y = Buffer::scratch(g.y_len());
        let epilogue = Epilogue {
            bias: bias.map(T::slice),
            time_bias: time_bias.map(T::slice),
            residual: residual.map(T::slice),
            scale: T::of(scale),
        };
        T::forward(T::slice(x), T::slice(w), g, &epilogue, &mut y);
        T::store(y)
    })
}

pub fn input_grad(dy: &Storage, w: &Storage, g: &Conv2d) -> Storage {
    by_float!(dy.dtype(), T => {
        let mut dx = Buffer::scratch(g.x_len());
        T::input_grad(T::slice(dy), T::slice(w), g, &mut dx);
        T::store(dx)
    })
}

pub fn weight_grad(x: &Storage, dy: &Storage, g: &Conv2d) -> Storage {
    by_float!(x.dtype(), T => {
        let mut dw = Buffer::scratch(g.w_len());
        T::weight_grad(T::slice(x), T::slice(dy), g, &mut dw);
        T::store(dw)
    })
}

#[cfg(test)]
mod tests;
