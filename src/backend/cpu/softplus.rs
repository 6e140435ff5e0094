//! log(1 + e^x) and its derivative, the logistic sigmoid.

use super::{Float, Storage, by_float, map};

pub fn forward(x: &Storage) -> Storage {
    // max(x, 0) + log(1 + e^-|x|): no overflow for large x, no cancellation for small.
    by_float!(x.dtype(), T => T::store(map(T::slice(x), |x| x.max(T::ZERO) + (-x.abs()).exp().ln_1p())))
}

pub fn sigmoid(x: &Storage) -> Storage {
    by_float!(x.dtype(), T => T::store(map(T::slice(x), #[inline(always)] |x| T::ONE / (T::ONE + (-x).exp()))))
}
