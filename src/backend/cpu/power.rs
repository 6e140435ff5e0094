//! x^p, element by element.

use super::{Float, Storage, by_float, map};

pub fn forward(x: &Storage, p: f64) -> Storage {
    by_float!(x.dtype(), T => {
        let p = T::of(p);
        T::store(map(T::slice(x), move |x| x.powf(p)))
    })
}
