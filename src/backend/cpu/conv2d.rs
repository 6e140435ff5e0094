//! 2-D convolution and its two gradients: see `ops/conv2d.rs`.

use super::{Buffer, Float, Storage, by_float, naive};
use crate::backend::params::Conv2d;

/// What is done to a convolution's output before it is stored: (y + bias + time bias + residual) * scale.
pub struct Epilogue<'a, T> {
    /// [K]
    pub bias: Option<&'a [T]>,
    /// [N, K]
    pub time_bias: Option<&'a [T]>,
    /// [N, P, Q, K]
    pub residual: Option<&'a [T]>,
    pub scale: T,
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
        naive::conv2d_forward(T::slice(x), T::slice(w), g, &epilogue, &mut y);
        T::store(y)
    })
}

pub fn input_grad(dy: &Storage, w: &Storage, g: &Conv2d) -> Storage {
    by_float!(dy.dtype(), T => {
        let mut dx = Buffer::scratch(g.x_len());
        naive::conv2d_input_grad(T::slice(dy), T::slice(w), g, &mut dx);
        T::store(dx)
    })
}

pub fn weight_grad(x: &Storage, dy: &Storage, g: &Conv2d) -> Storage {
    by_float!(x.dtype(), T => {
        let mut dw = Buffer::scratch(g.w_len());
        naive::conv2d_weight_grad(T::slice(x), T::slice(dy), g, &mut dw);
        T::store(dw)
    })
}
