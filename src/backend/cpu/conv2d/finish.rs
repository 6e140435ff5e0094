//! The last step of a convolution: what is added while the sums are in registers, and the store.

use super::Epilogue;
use crate::backend::cpu::parallel::Shared;
use crate::backend::cpu::simd::Simd;
use crate::backend::params::Conv2d;

/// An [`Epilogue`] with its output, as pointers; null where a part is left out.
#[derive(Clone, Copy)]
pub struct Finish {
    bias: *const f32,
    time_bias: *const f32,
    residual: *const f32,
    scale: f32,
    /// Channels of the output.
    pub k: usize,
    pub y: Shared<f32>,
}

// SAFETY: read-only views and a `Shared`; they outlive the call that the tasks belong to.
unsafe impl Send for Finish {}
unsafe impl Sync for Finish {}

impl Finish {
    pub fn new(g: &Conv2d, e: &Epilogue<f32>, y: &mut [f32]) -> Self {
        let part = |s: Option<&[f32]>, len: usize, name: &str| match s {
            Some(s) => {
                assert_eq!(s.len(), len, "{name} of {g:?}");
                s.as_ptr()
            }
            None => std::ptr::null(),
        };
        Finish {
            bias: part(e.bias, g.k, "bias"),
            time_bias: part(e.time_bias, g.n * g.k, "time bias"),
            residual: part(e.residual, y.len(), "residual"),
            scale: e.scale,
            k: g.k,
            y: Shared::new(y),
        }
    }

    /// Stores the sums as they are.
    pub fn plain(k: usize, y: &mut [f32]) -> Self {
        let null = std::ptr::null();
        Finish { bias: null, time_bias: null, residual: null, scale: 1.0, k, y: Shared::new(y) }
    }

    /// Finishes and stores `lanes` sums: channels `k ..` of the pixel whose channel 0 is number `at` of the output,
    /// in image `n`.
    ///
    /// # Safety
    /// In a body of `simd_fn!`; the channels and the pixel exist, and no other task writes them.
    #[inline(always)]
    pub unsafe fn put<S: Simd>(self, n: usize, at: usize, k: usize, lanes: usize, mut v: S::V) {
        unsafe {
            let y = self.y.at(at + k);
            if lanes == S::LANES {
                if !self.bias.is_null() {
                    v = S::add(v, S::load(self.bias.add(k)));
                }
                if !self.time_bias.is_null() {
                    v = S::add(v, S::load(self.time_bias.add(n * self.k + k)));
                }
                if !self.residual.is_null() {
                    v = S::add(v, S::load(self.residual.add(at + k)));
                }
                S::store(y, S::mul(v, S::splat(self.scale)));
            } else {
                if !self.bias.is_null() {
                    v = S::add(v, S::load_first(self.bias.add(k), lanes));
                }
                if !self.time_bias.is_null() {
                    v = S::add(v, S::load_first(self.time_bias.add(n * self.k + k), lanes));
                }
                if !self.residual.is_null() {
                    v = S::add(v, S::load_first(self.residual.add(at + k), lanes));
                }
                S::store_first(y, lanes, S::mul(v, S::splat(self.scale)));
            }
        }
    }
}
