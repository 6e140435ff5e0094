//! Filters transformed and packed for the products.

use super::SKEW;
use super::transform::{POINTS, filter_tile, store_points};
use crate::backend::cpu::Buffer;
use crate::backend::cpu::gemm::tile::{NV, nr};
use crate::backend::cpu::parallel::{Shared, for_each};
use crate::backend::cpu::simd::{Isa, Simd, simd_fn};
use crate::backend::params::Conv2d;

/// G g G^T of all filters as 36 matrices [C, K] in panels: [K / NR][36][C][NR], the planes [C][NR] `plane` apart.
pub struct Filters {
    pub u: Buffer<f32>,
    pub plane: usize,
}

/// Input channels of one task.
const CHANNELS: usize = 64;

/// The filters of one convolution: tap t of channels c -> k lies at t * tap_step + c * c_step + k * k_step.
#[derive(Clone, Copy)]
struct Source {
    w: *const f32,
    c: usize,
    k: usize,
    c_step: usize,
    k_step: usize,
    /// From one tap to the next; backwards where the filter is turned.
    tap_step: isize,
}

// SAFETY: a read-only view of the weights.
unsafe impl Send for Source {}
unsafe impl Sync for Source {}

impl Filters {
    /// For the output: w [K,3,3,C].
    pub fn forward(isa: Isa, g: &Conv2d, w: &[f32]) -> Self {
        let w = w.as_ptr();
        Self::new(isa, Source { w, c: g.c, k: g.k, c_step: 1, k_step: 9 * g.c, tap_step: g.c as isize })
    }

    /// For the input's gradient: from K to C channels, turned by 180 degrees.
    pub fn turned(isa: Isa, g: &Conv2d, w: &[f32]) -> Self {
        let w = w[8 * g.c..].as_ptr();
        Self::new(isa, Source { w, c: g.k, k: g.c, c_step: 9 * g.c, k_step: 1, tap_step: -(g.c as isize) })
    }

    fn new(isa: Isa, src: Source) -> Self {
        let nr = NV * isa.lanes();
        let plane = src.c * nr + SKEW;
        let (panels, chunks) = (src.k.div_ceil(nr), src.c.div_ceil(CHANNELS));
        let mut u = Buffer::scratch(panels * POINTS * plane);
        let to = Shared::new(&mut u);
        for_each(panels * chunks, POINTS * src.c * src.k, |task| {
            let (panel, c0) = (task / chunks, task % chunks * CHANNELS);
            let c1 = (c0 + CHANNELS).min(src.c);
            // SAFETY: each task writes its own panel and channels.
            unsafe { transform_panel(isa, src, panel * nr, c0, c1, to.at(panel * POINTS * plane), plane) }
        });
        Filters { u, plane }
    }
}

simd_fn! {
    /// Input channels `c0 .. c1` of the panel that begins with output channel `k0`.
    unsafe fn transform_panel<S>(src: Source, k0: usize, c0: usize, c1: usize, u: *mut f32, plane: usize) {
        unsafe {
            for j in (0..nr::<S>()).step_by(S::LANES) {
                let lanes = src.k.saturating_sub(k0 + j).min(S::LANES);
                let mut c = c0;
                while c < c1 {
                    // Four channels at a time where that is a transposition of whole vectors.
                    let count = if src.c_step == 1 && lanes == S::LANES && c + 4 <= c1 { 4 } else { 1 };
                    let mut g = [[[S::splat(0.0); 3]; 3]; 4];
                    for tap in 0..9 {
                        let p = src.w.wrapping_offset(tap as isize * src.tap_step);
                        let p = p.wrapping_add(c * src.c_step + (k0 + j) * src.k_step);
                        let v = if count == 4 {
                            S::columns4(p, src.k_step)
                        } else {
                            let mut v = [S::splat(0.0); 4];
                            v[0] = one_channel::<S>(p, lanes, src.k_step);
                            v
                        };
                        for (g, v) in g.iter_mut().zip(v) {
                            g[tap / 3][tap % 3] = v;
                        }
                    }
                    for (i, g) in g.iter().enumerate().take(count) {
                        store_points::<S>(&filter_tile::<S>(g), u.add((c + i) * nr::<S>() + j), plane);
                    }
                    c += count;
                }
            }
        }
    }
}

/// `lanes` numbers `step` apart, zeros after them.
#[inline(always)]
unsafe fn one_channel<S: Simd>(p: *const f32, lanes: usize, step: usize) -> S::V {
    let mut row = [0.0; 16];
    unsafe {
        if step == 1 {
            return S::load_first(p, lanes);
        }
        for (i, x) in row.iter_mut().enumerate().take(lanes) {
            *x = *p.add(i * step);
        }
        S::load(row.as_ptr())
    }
}
