//! sin(x), element by element.

use super::{Float, Storage, by_float, map};

pub fn forward(x: &Storage) -> Storage {
    by_float!(x.dtype(), T => T::store(map(T::slice(x), |x| x.sin())))
}
