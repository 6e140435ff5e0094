//! x sigmoid(x), element by element, and its gradient.

use super::{Float, Storage, by_float, map, map2};

#[inline(always)]
pub(super) fn silu<T: Float>(x: T) -> T {
    x / (T::ONE + (-x).exp())
}

/// d silu(x) / dx = s (1 + x (1 - s)), s = sigmoid(x).
#[inline(always)]
pub(super) fn silu_derivative<T: Float>(x: T) -> T {
    let s = T::ONE / (T::ONE + (-x).exp());
    s * (T::ONE + x * (T::ONE - s))
}

pub fn forward(x: &Storage) -> Storage {
    by_float!(x.dtype(), T => T::store(map(T::slice(x), silu)))
}

pub fn backward(x: &Storage, dy: &Storage) -> Storage {
    by_float!(x.dtype(), T => {
        T::store(map2(T::slice(x), T::slice(dy), #[inline(always)] |x, dy| dy * silu_derivative(x)))
    })
}
