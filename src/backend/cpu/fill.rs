//! One value everywhere.

use super::{Buffer, DType, Float, Storage, by_float};

pub fn full(len: usize, value: f64, dtype: DType) -> Storage {
    by_float!(dtype, T => {
        let mut out = Buffer::scratch(len);
        out.fill(T::of(value));
        T::store(out)
    })
}
