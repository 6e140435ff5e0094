//! a x + b y, element by element.

use super::{Float, Storage, by_float, map2};

pub fn forward(x: &Storage, y: &Storage, a: f64, b: f64) -> Storage {
    by_float!(x.dtype(), T => {
        let (a, b) = (T::of(a), T::of(b));
        T::store(map2(T::slice(x), T::slice(y), #[inline(always)] move |x, y| a * x + b * y))
    })
}
