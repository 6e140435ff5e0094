//! x y, element by element.

use super::{Float, Storage, by_float, map2};

pub fn forward(x: &Storage, y: &Storage) -> Storage {
    by_float!(x.dtype(), T => T::store(map2(T::slice(x), T::slice(y), #[inline(always)] |x, y| x * y)))
}
