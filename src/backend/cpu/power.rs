//! x^p, element by element.

use super::{Float, Storage, by_float, map};

pub fn forward(x: &Storage, p: f64) -> Storage {
    by_float!(x.dtype(), T => T::store(match (2.0 * p).abs() {
        // Square roots and whole powers, which normalisations are made of, without the general power function.
        twice if twice.fract() == 0.0 && twice <= 8.0 => {
            let (whole, half) = (twice as u32 / 2, twice as u32 % 2 == 1);
            map(T::slice(x), #[inline(always)] move |x| {
                let root = if half { x.sqrt() } else { T::ONE };
                let power = (0..whole).fold(root, |power, _| power * x);
                if p < 0.0 { T::ONE / power } else { power }
            })
        }
        _ => {
            let p = T::of(p);
            map(T::slice(x), move |x| x.powf(p))
        }
    }))
}
