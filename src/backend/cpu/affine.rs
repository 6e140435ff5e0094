//! a x + b, element by element.

use super::{Float, Storage, by_float, map};

pub fn forward(x: &Storage, a: f64, b: f64) -> Storage {
    by_float!(x.dtype(), T => {
        let (a, b) = (T::of(a), T::of(b));
        T::store(map(T::slice(x), #[inline(always)] move |x| a * x + b))
    })
}
