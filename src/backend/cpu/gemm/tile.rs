//! The register tile under every matrix product and convolution.
//!
//! MR rows times NR = 2 vectors of columns are accumulated in registers while the reduction runs:
//!
//! acc[i][j] += sum over taps t, steps l of a[t][i][l * a_step] * b[t * len + l][j]
//!
//! The rows of A are given by pointers, so they need not be at regular distances: a convolution points each row at the
//! input pixel under a filter tap, or at zeros in the padding (M. Dukhan, "The Indirect Convolution Algorithm", 2019),
//! and needs no im2col. A step of 1 reads A along its rows, a step of the row length reads it transposed. Each step
//! loads two vectors of B and MR numbers of A for 2 MR multiply-adds.

use crate::backend::cpu::simd::Simd;
use std::mem::MaybeUninit;

/// Vectors in a row of the tile.
pub const NV: usize = 2;

/// Columns of the tile, which is the width of a packed panel of B.
pub const fn nr<S: Simd>() -> usize {
    NV * S::LANES
}

/// What a tile reduces over.
#[derive(Clone, Copy)]
pub struct Reduction {
    /// Row pointers [taps][MR]; those past the tile's rows must be readable too.
    pub a: *const *const f32,
    pub taps: usize,
    /// Steps of one tap, and numbers between them in A.
    pub len: usize,
    pub a_step: usize,
    /// B [taps * len][b_step], of which the tile's columns are used, rounded up to whole vectors.
    pub b: *const f32,
    pub b_step: usize,
}

/// Where a tile's sums go.
pub trait Sink<S: Simd>: Copy {
    /// `put` is a bare store, and takes rows past the tile's (up to MR) as well.
    const BARE: bool = false;

    /// The sums go on from what `start` gives, not from zero.
    const GOES_ON: bool = false;

    /// Where a whole vector of sums of row `i`, which may be past the tile's (up to MR), goes on from.
    ///
    /// # Safety
    /// In a body of `simd_fn!`, with what the sink points at valid for that row and those columns.
    unsafe fn start(self, _i: usize, _j: usize) -> S::V {
        unreachable!("only for sinks that go on")
    }

    /// Takes `lanes` sums of row `i` of the tile from column `j` on.
    ///
    /// # Safety
    /// In a body of `simd_fn!`, with what the sink points at valid for that row and those columns.
    unsafe fn put(self, i: usize, j: usize, lanes: usize, v: S::V);
}

/// C = A B for one tile of rows <= MR, cols <= NR.
///
/// # Safety
/// In a body of `simd_fn!`; everything `red` and the sink point at is valid.
#[inline(always)]
pub unsafe fn tile<S: Simd>(rows: usize, cols: usize, red: Reduction, sink: impl Sink<S>) {
    unsafe {
        if cols > S::LANES {
            tile_rows::<S, 2>(rows, cols, red, sink)
        } else {
            tile_rows::<S, 1>(rows, cols, red, sink)
        }
    }
}

/// Few heights are compiled; others are rounded up.
#[inline(always)]
unsafe fn tile_rows<S: Simd, const N: usize>(rows: usize, cols: usize, red: Reduction, sink: impl Sink<S>) {
    const { assert!(S::MR == 8 || S::MR == 6 || S::MR == 4) };
    unsafe {
        match rows {
            1 => accumulate::<S, _, 1, N>(rows, cols, red, sink),
            2 => accumulate::<S, _, 2, N>(rows, cols, red, sink),
            3 | 4 => accumulate::<S, _, 4, N>(rows, cols, red, sink),
            _ if S::MR == 8 => accumulate::<S, _, 8, N>(rows, cols, red, sink),
            _ => accumulate::<S, _, 6, N>(rows, cols, red, sink),
        }
    }
}

#[inline(always)]
unsafe fn accumulate<S: Simd, K: Sink<S>, const M: usize, const N: usize>(
    rows: usize,
    cols: usize,
    red: Reduction,
    sink: K,
) {
    unsafe {
        let mut acc = [[S::splat(0.0); N]; M];
        if K::GOES_ON {
            for (i, acc) in acc.iter_mut().enumerate() {
                for (j, acc) in acc.iter_mut().enumerate() {
                    *acc = sink.start(i, j * S::LANES);
                }
            }
        }
        let mut b = red.b;
        for tap in 0..red.taps {
            let mut a = [std::ptr::null(); M];
            for (i, a) in a.iter_mut().enumerate() {
                *a = *red.a.add(tap * S::MR + i);
            }
            let mut at = 0;
            for _ in 0..red.len {
                let mut bv = [S::splat(0.0); N];
                for (j, bv) in bv.iter_mut().enumerate() {
                    *bv = S::load(b.add(j * S::LANES));
                }
                for i in 0..M {
                    let av = S::splat(*a[i].add(at));
                    for j in 0..N {
                        acc[i][j] = S::fma(av, bv[j], acc[i][j]);
                    }
                }
                at += red.a_step;
                b = b.add(red.b_step);
            }
        }
        if K::BARE {
            for (i, acc) in acc.iter().enumerate() {
                for (j, &acc) in acc.iter().enumerate() {
                    sink.put(i, j * S::LANES, S::LANES, acc);
                }
            }
            return;
        }
        // Through memory, so that the sink's loop need not be unrolled: if it indexed `acc` with a variable, the sums
        // would not stay in registers above.
        let mut sums = Sums([MaybeUninit::uninit(); MAX_TILE]);
        let sums = sums.0.as_mut_ptr().cast::<f32>();
        for (i, acc) in acc.iter().enumerate() {
            for (j, &acc) in acc.iter().enumerate() {
                S::store(sums.add((i * N + j) * S::LANES), acc);
            }
        }
        for i in 0..rows {
            for j in 0..N {
                let lanes = (cols - j * S::LANES).min(S::LANES);
                sink.put(i, j * S::LANES, lanes, S::load(sums.add((i * N + j) * S::LANES)));
            }
        }
    }
}

/// The largest tile of all instruction sets: 8 x 2 vectors of 16.
const MAX_TILE: usize = 256;

#[repr(align(64))]
struct Sums([MaybeUninit<f32>; MAX_TILE]);
