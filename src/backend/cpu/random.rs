//! Normal and uniform numbers: see `backend/philox.rs`.

use super::{Buffer, DType, Float, Storage, by_float};
use crate::backend::philox::{self, Key};
use rayon::prelude::*;

/// Numbers a task draws, some 10 ns each; a multiple of 4, so that every task starts on a Philox block.
const CHUNK: usize = 1 << 12;

/// The key that a tensor holds, as f32.
pub fn key(pieces: &Storage) -> Key {
    Key::from_pieces(f32::slice(pieces))
}

pub fn normal(len: usize, key: Key, dtype: DType) -> Storage {
    by_float!(dtype, T => fill::<T>(len, |block| philox::normal4(key, block)))
}

pub fn uniform(len: usize, key: Key, dtype: DType) -> Storage {
    by_float!(dtype, T => fill::<T>(len, |block| philox::philox4x32(key, block).map(philox::uniform)))
}

fn fill<T: Float>(len: usize, draw4: impl Fn(u64) -> [f32; 4] + Sync) -> Storage {
    let mut out = Buffer::<T>::scratch(len);
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
        let first = (i * CHUNK / 4) as u64;
        for (block, four) in (first..).zip(chunk.chunks_mut(4)) {
            for (x, v) in four.iter_mut().zip(draw4(block)) {
                *x = T::of(v as f64);
            }
        }
    });
    T::store(out)
}
