//! The input gathered under the filter's taps, a packed panel at a time: [N P Q, R S C], never whole.

use crate::backend::cpu::gemm::Part;
use crate::backend::cpu::gemm::tile::{NV, nr};
use crate::backend::cpu::simd::{Isa, Simd, simd_fn};
use crate::backend::params::Conv2d;

/// Columns (r, s, c) of the gathered input for [`super::transposed`].
pub fn columns<'a>(isa: Isa, g: &'a Conv2d, x: &'a [f32]) -> impl Fn(Part, *mut f32) + Sync + 'a {
    move |part: Part, dst: *mut f32| {
        debug_assert!(part.n0.is_multiple_of(NV * isa.lanes()));
        // SAFETY: `dst` has room for the part; x is the input of g.
        unsafe { pack(isa, g, x, part, dst) }
    }
}

simd_fn! {
    /// # Safety
    /// `dst` holds the part's panels [n / NR][k][NR].
    unsafe fn pack<S>(g: &Conv2d, x: &[f32], part: Part, dst: *mut f32) {
        let taps = part.n0 / g.c..(part.n0 + part.n).div_ceil(g.c);
        for i in 0..part.k {
            let pixel = part.k0 + i;
            let (n, p, q) = (pixel / (g.p * g.q), pixel / g.q % g.p, pixel % g.q);
            for tap in taps.clone() {
                let (h, w) = (p * g.stride + tap / g.s, q * g.stride + tap % g.s);
                let (h, w) = (h.wrapping_sub(g.pad[0]), w.wrapping_sub(g.pad[2]));
                // The channels of this tap that fall into the part's columns.
                let begin = (tap * g.c).max(part.n0);
                let end = ((tap + 1) * g.c).min(part.n0 + part.n);
                let from = if h < g.h && w < g.w {
                    x[((n * g.h + h) * g.w + w) * g.c + begin - tap * g.c..].as_ptr()
                } else {
                    std::ptr::null()
                };
                // SAFETY: column j of the part lies in panel j / NR.
                unsafe { scatter::<S>(from, begin - part.n0, end - part.n0, i, part.k, dst) }
            }
            let nr = nr::<S>();
            for j in part.n..part.n.next_multiple_of(nr) {
                // SAFETY: the columns that fill up the last panel.
                unsafe { *dst.add((j / nr * part.k + i) * nr + j % nr) = 0.0 }
            }
        }
    }
}

/// Columns `begin .. end` of row `i`, from a run in memory (null: zeros) into panels of `k` rows.
#[inline(always)]
unsafe fn scatter<S: Simd>(from: *const f32, begin: usize, end: usize, i: usize, k: usize, dst: *mut f32) {
    let nr = nr::<S>();
    let mut j = begin;
    while j < end {
        // A vector, or less where the run or the panel ends.
        let lanes = (end - j).min(nr - j % nr).min(S::LANES);
        // SAFETY: within the run and within the panel's row.
        unsafe {
            let v = if from.is_null() { S::splat(0.0) } else { S::load_first(from.add(j - begin), lanes) };
            S::store_first(dst.add((j / nr * k + i) * nr + j % nr), lanes, v);
        }
        j += lanes;
    }
}
