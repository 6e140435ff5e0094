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

    /// Bias and time bias of `lanes` channels from `k` on, in image `n`.
    ///
    /// # Safety
    /// In a body of `simd_fn!`; the image and the channels exist.
    #[inline(always)]
    pub unsafe fn biases<S: Simd>(self, n: usize, k: usize, lanes: usize) -> S::V {
        unsafe {
            let mut v = S::splat(0.0);
            if !self.bias.is_null() {
                v = load::<S>(self.bias.add(k), lanes);
            }
            if !self.time_bias.is_null() {
                v = S::add(v, load::<S>(self.time_bias.add(n * self.k + k), lanes));
            }
            v
        }
    }

    /// Finishes and stores `lanes` sums, biases included: number `at` of the output and those after it.
    ///
    /// # Safety
    /// In a body of `simd_fn!`; the output has them, and no other task writes them.
    #[inline(always)]
    pub unsafe fn put<S: Simd>(self, at: usize, lanes: usize, mut v: S::V) {
        unsafe {
            if !self.residual.is_null() {
                v = S::add(v, load::<S>(self.residual.add(at), lanes));
            }
            v = S::mul(v, S::splat(self.scale));
            if lanes == S::LANES { S::store(self.y.at(at), v) } else { S::store_first(self.y.at(at), lanes, v) }
        }
    }
}

#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, lanes: usize) -> S::V {
    unsafe { if lanes == S::LANES { S::load(p) } else { S::load_first(p, lanes) } }
}
