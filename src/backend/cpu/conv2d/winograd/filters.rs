//! Filters transformed and packed for the products.

use super::transform::{POINTS, filter_tile};
use super::{CHANNELS, SKEW};
use crate::backend::cpu::Buffer;
use crate::backend::cpu::gemm::tile::{NV, nr};
use crate::backend::cpu::parallel::{Shared, for_each};
use crate::backend::cpu::simd::{Isa, Simd, simd_fn};
use crate::backend::params::Conv2d;

/// The filters of one convolution from C to K channels: tap t of channels c -> k lies at
/// t * tap_step + c * c_step + k * k_step.
#[derive(Clone, Copy)]
pub struct Filters {
    pub c: usize,
    pub k: usize,
    w: *const f32,
    c_step: usize,
    k_step: usize,
    /// Backwards where the filter is turned.
    tap_step: isize,
}

// SAFETY: a read-only view of the weights, which outlive the call.
unsafe impl Send for Filters {}
unsafe impl Sync for Filters {}

impl Filters {
    /// For the output: w [K,3,3,C].
    pub fn forward(g: &Conv2d, w: &[f32]) -> Self {
        Filters { c: g.c, k: g.k, w: w.as_ptr(), c_step: 1, k_step: 9 * g.c, tap_step: g.c as isize }
    }

    /// For the input's gradient: from K to C channels, turned by 180 degrees.
    pub fn turned(g: &Conv2d, w: &[f32]) -> Self {
        let last = w[8 * g.c..].as_ptr();
        Filters { c: g.k, k: g.c, w: last, c_step: 9 * g.c, k_step: 1, tap_step: -(g.c as isize) }
    }

    /// G g G^T of all filters in panels [K / NR][36][C][NR], and the distance of the planes [C][NR].
    pub fn transform(self, isa: Isa) -> (Buffer<f32>, usize) {
        let nr = NV * isa.lanes();
        let plane = self.c * nr + SKEW;
        let (panels, chunks) = (self.k.div_ceil(nr), self.c.div_ceil(CHANNELS));
        let mut u = Buffer::scratch(panels * POINTS * plane);
        let to = Shared::new(&mut u);
        for_each(panels * chunks, POINTS * self.c * self.k, |task| {
            let (panel, c0) = (task / chunks, task % chunks * CHANNELS);
            let c1 = (c0 + CHANNELS).min(self.c);
            let u = to.at(panel * POINTS * plane + c0 * nr);
            // SAFETY: each task writes its own panel and channels.
            unsafe { transform_channels(isa, self, panel * nr, c0, c1, u, plane) }
        });
        (u, plane)
    }
}

simd_fn! {
    unsafe fn transform_channels<S>(src: Filters, k0: usize, c0: usize, c1: usize, u: *mut f32, plane: usize) {
        unsafe { transform_panel::<S>(src, k0, c0, c1, u, plane) }
    }
}

/// The panel that begins with output channel `k0`: input channels `c0 .. c1` to `u` [36][c1 - c0][NR].
///
/// # Safety
/// In a body of `simd_fn!`; `u` has room, its planes are `plane` apart.
#[inline(always)]
pub unsafe fn transform_panel<S: Simd>(src: Filters, k0: usize, c0: usize, c1: usize, u: *mut f32, plane: usize) {
    unsafe {
        for j in (0..nr::<S>()).step_by(S::LANES) {
            let lanes = src.k.saturating_sub(k0 + j).min(S::LANES);
            for c in (c0..c1).step_by(LINE) {
                let count = (c1 - c).min(LINE);
                let mut taps = [[S::splat(0.0); 9]; LINE];
                for tap in 0..9 {
                    let p = src.w.wrapping_offset(tap as isize * src.tap_step);
                    let p = p.wrapping_add(c * src.c_step + (k0 + j) * src.k_step);
                    gather::<S>(src, p, lanes, &mut taps[..count], tap);
                }
                for (i, taps) in taps.iter().enumerate().take(count) {
                    filter_tile::<S>(
                        #[inline(always)]
                        |r, s| taps[r * 3 + s],
                        u.add((c + i - c0) * nr::<S>() + j),
                        plane,
                    );
                }
            }
        }
    }
}

/// Channels taken at a time: a cache line of weights is used up before the next one is asked for.
const LINE: usize = 16;

/// One tap of `taps.len()` input channels and `lanes` output channels.
#[inline(always)]
unsafe fn gather<S: Simd>(src: Filters, p: *const f32, lanes: usize, taps: &mut [[S::V; 9]], tap: usize) {
    unsafe {
        if src.k_step == 1 {
            for (i, taps) in taps.iter_mut().enumerate() {
                taps[tap] = S::load_first(p.add(i * src.c_step), lanes);
            }
            return;
        }
        let mut i = 0;
        while lanes == S::LANES && i + 4 <= taps.len() {
            for (taps, v) in taps[i..].iter_mut().zip(S::columns4(p.add(i), src.k_step)) {
                taps[tap] = v;
            }
            i += 4;
        }
        for (i, taps) in taps.iter_mut().enumerate().skip(i) {
            let mut row = [0.0; 16];
            for (l, x) in row.iter_mut().enumerate().take(lanes) {
                *x = *p.add(i + l * src.k_step);
            }
            taps[tap] = S::load(row.as_ptr());
        }
    }
}
