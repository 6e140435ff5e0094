//! Packing: a matrix copied into panels, so that the tile's loads are one contiguous stream.

use super::tile::nr;
use crate::backend::cpu::simd::{Simd, simd_fn};

/// f32 numbers in a cache line.
const LINE: usize = 16;

/// A matrix [K,N] somewhere in memory: element (k, n) lies at k * k_step + n * n_step.
#[derive(Clone, Copy)]
pub struct Source {
    pub p: *const f32,
    pub k: usize,
    pub n: usize,
    pub k_step: usize,
    pub n_step: usize,
}

// SAFETY: a read-only view; whoever uses it promises that it is valid.
unsafe impl Send for Source {}
unsafe impl Sync for Source {}

impl Source {
    /// Rows `k0 .. k0 + k` and columns `n0 .. n0 + n`.
    pub fn block(self, k0: usize, k: usize, n0: usize, n: usize) -> Self {
        Source { p: self.p.wrapping_add(k0 * self.k_step + n0 * self.n_step), k, n, ..self }
    }
}

simd_fn! {
    /// One panel [K][NR] from a matrix of N <= NR columns; the columns past N are zero.
    ///
    /// # Safety
    /// `src` is readable, `dst` writable for K * NR numbers.
    pub unsafe fn pack_panel<S>(src: Source, dst: *mut f32) {
        unsafe { panel::<S>(src, nr::<S>(), dst) }
    }
}

simd_fn! {
    /// One panel [K][MR] of A's columns (A is [K,M]), for a tile that reads A transposed.
    ///
    /// # Safety
    /// `src` is readable, `dst` writable for K * MR numbers.
    pub unsafe fn pack_narrow_panel<S>(src: Source, dst: *mut f32) {
        unsafe { panel::<S>(src, S::MR, dst) }
    }
}

/// A panel [K][width].
#[inline(always)]
unsafe fn panel<S: Simd>(src: Source, width: usize, dst: *mut f32) {
    let Source { p, k, n, k_step, n_step } = src;
    unsafe {
        let mut k0 = 0;
        if n_step == 1 {
            for k0 in 0..k {
                let (from, to) = (p.add(k0 * k_step), dst.add(k0 * width));
                let mut j = 0;
                while j + S::LANES <= n {
                    S::store(to.add(j), S::load(from.add(j)));
                    j += S::LANES;
                }
                while j < width {
                    let last = S::load_first(from.add(j), n.saturating_sub(j).min(S::LANES));
                    S::store_first(to.add(j), (width - j).min(S::LANES), last);
                    j += S::LANES;
                }
            }
            return;
        } else if k_step == 1 && n == width && width.is_multiple_of(S::LANES) {
            // A cache line of every row is used up before the next: rows are often a power of two apart, so that few
            // of their lines fit into the cache together.
            k0 = k - k % 4;
            for line in (0..k0).step_by(LINE) {
                for j in (0..width).step_by(S::LANES) {
                    for k in (line..k0.min(line + LINE)).step_by(4) {
                        let v = S::columns4(p.add(j * n_step + k), n_step);
                        for (l, &v) in v.iter().enumerate() {
                            S::store(dst.add((k + l) * width + j), v);
                        }
                    }
                }
            }
        }
        for k0 in k0..k {
            for j in 0..width {
                *dst.add(k0 * width + j) = if j < n { *p.add(k0 * k_step + j * n_step) } else { 0.0 };
            }
        }
    }
}
