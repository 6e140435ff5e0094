//! The baseline: four numbers, for which every 64-bit x86 has a register (SSE2), every 64-bit ARM another (NEON, with
//! fused multiply-add), and any other machine an array.

use super::Simd;

#[derive(Clone, Copy)]
pub struct Scalar;

#[cfg(target_arch = "x86_64")]
mod four {
    pub use std::arch::x86_64::{
        __m128 as V, _mm_add_ps as add, _mm_loadu_ps as load, _mm_mul_ps as mul, _mm_set1_ps as splat,
        _mm_storeu_ps as store, _mm_sub_ps as sub,
    };

    #[inline(always)]
    pub unsafe fn fma(a: V, b: V, c: V) -> V {
        unsafe { add(mul(a, b), c) }
    }
}

#[cfg(target_arch = "aarch64")]
mod four {
    pub use std::arch::aarch64::{
        float32x4_t as V, vaddq_f32 as add, vdupq_n_f32 as splat, vld1q_f32 as load, vmulq_f32 as mul,
        vst1q_f32 as store, vsubq_f32 as sub,
    };

    #[inline(always)]
    pub unsafe fn fma(a: V, b: V, c: V) -> V {
        unsafe { std::arch::aarch64::vfmaq_f32(c, a, b) }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod four {
    pub type V = [f32; 4];

    #[inline(always)]
    fn each(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
        [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
    }
    #[inline(always)]
    pub unsafe fn splat(x: f32) -> V {
        [x; 4]
    }
    #[inline(always)]
    pub unsafe fn load(p: *const f32) -> V {
        unsafe { p.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    pub unsafe fn store(p: *mut f32, v: V) {
        unsafe { p.cast::<V>().write_unaligned(v) }
    }
    #[inline(always)]
    pub unsafe fn add(a: V, b: V) -> V {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    pub unsafe fn sub(a: V, b: V) -> V {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    pub unsafe fn mul(a: V, b: V) -> V {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    pub unsafe fn fma(a: V, b: V, c: V) -> V {
        unsafe { add(mul(a, b), c) }
    }
}

#[inline(always)]
fn array(v: four::V) -> [f32; 4] {
    let mut x = [0.0; 4];
    // SAFETY: room for four numbers; the baseline's instructions are always there.
    unsafe { four::store(x.as_mut_ptr(), v) };
    x
}

impl Simd for Scalar {
    const LANES: usize = 4;
    /// 16 registers, or 32 on ARM.
    const MR: usize = if cfg!(target_arch = "aarch64") { 8 } else { 4 };
    type V = four::V;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        unsafe { four::splat(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        unsafe { four::load(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        unsafe { four::store(p, v) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V {
        let mut x = [0.0; 4];
        for (i, x) in x.iter_mut().enumerate().take(n) {
            *x = unsafe { *p.add(i) };
        }
        unsafe { four::load(x.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, n: usize, v: Self::V) {
        for (i, x) in array(v).into_iter().enumerate().take(n) {
            unsafe { *p.add(i) = x }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        unsafe { four::add(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        unsafe { four::sub(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        unsafe { four::mul(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe { four::fma(a, b, c) }
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        let v = array(v);
        (v[0] + v[2]) + (v[1] + v[3])
    }
    #[inline(always)]
    unsafe fn columns4(p: *const f32, ld: usize) -> [Self::V; 4] {
        let mut columns = [[0.0; 4]; 4];
        for (j, column) in columns.iter_mut().enumerate() {
            for (i, x) in column.iter_mut().enumerate() {
                *x = unsafe { *p.add(i * ld + j) };
            }
        }
        let [a, b, c, d] = &columns;
        unsafe { [four::load(a.as_ptr()), four::load(b.as_ptr()), four::load(c.as_ptr()), four::load(d.as_ptr())] }
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
}
