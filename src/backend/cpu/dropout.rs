//! Dropout, its mask drawn where it is used: see `ops/dropout.rs`.

use super::map::{CHUNK, for_chunks};
use super::{Buffer, Float, Storage, by_float};
use crate::backend::philox::{Key, philox4x32, uniform};

/// x / (1 - p) where the uniform number at the element's position of the sequence `key` is above p, 0 elsewhere.
pub fn forward(x: &Storage, p: f64, key: Key) -> Storage {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let (threshold, scale) = (p as f32, T::of(1.0 / (1.0 - p)));
        let mut out = Buffer::scratch(x.len());
        // A chunk is a multiple of the four numbers of a Philox block.
        for_chunks(&mut out, CHUNK, |i, out| {
            let x = &x[i * CHUNK..][..out.len()];
            let blocks = (i * CHUNK / 4) as u64..;
            for (block, (out, x)) in blocks.zip(out.chunks_mut(4).zip(x.chunks(4))) {
                let keep = philox4x32(key, block).map(|word| uniform(word) > threshold);
                for ((out, &x), keep) in out.iter_mut().zip(x).zip(keep) {
                    *out = if keep { scale * x } else { T::ZERO };
                }
            }
        });
        T::store(out)
    })
}
