//! x where x > 0, slope x elsewhere; and the same selection applied to a gradient.

use super::{Float, Storage, by_float, map, map2};

pub fn forward(x: &Storage, slope: f64) -> Storage {
    by_float!(x.dtype(), T => {
        let slope = T::of(slope);
        T::store(map(T::slice(x), #[inline(always)] move |x| if x > T::ZERO { x } else { slope * x }))
    })
}

/// dy where x > 0, slope dy elsewhere.
pub fn backward(x: &Storage, dy: &Storage, slope: f64) -> Storage {
    by_float!(x.dtype(), T => {
        let slope = T::of(slope);
        T::store(map2(T::slice(x), T::slice(dy), #[inline(always)] move |x, dy| if x > T::ZERO { dy } else { slope * dy }))
    })
}
