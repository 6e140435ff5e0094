//! Vector instruction sets, chosen once when the program runs.
//!
//! A kernel is written once, with [`simd_fn!`], and compiled for every instruction set:
//!
//! ```ignore
//! simd_fn! {
//!     /// y += a x.
//!     pub fn axpy<S>(a: f32, x: &[f32], y: &mut [f32]) {
//!         for (y, x) in y.iter_mut().zip(x) {
//!             *y = S::mul_add(a, *x, *y);
//!         }
//!     }
//! }
//! axpy(simd::isa(), 2.0, &x, &mut y);
//! ```
//!
//! The compiler vectorises the plain loop with the widest registers that the chosen set has. What helps it: slices of
//! equal length that it can see (`zip`, or `&x[..n]` up front), no branches but selections, `S::mul_add` for a*b+c
//! (`f32::mul_add` is a slow function call where there is no such instruction), functions that are called marked
//! `#[inline(always)]`. Float sums are never reordered by the compiler: keep an array of [`SUM_LANES`] partial sums
//! and add them at the end. Threads come outside: split the data with rayon, call the kernel once a piece.
//!
//! Kernels that want registers by name (the matrix product) use the vectors of `S: Simd` through raw pointers.

use std::io::Write as _;
use std::sync::OnceLock;

/// Partial sums to keep in a reduction, for the compiler to hold in one or two registers.
pub const SUM_LANES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// An instruction set that this machine has: a value of this type is the proof, so calling the code compiled for it is
/// sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isa(Level);

impl Isa {
    /// What this machine has, the slowest first; never empty.
    pub fn available() -> Vec<Isa> {
        #[allow(unused_mut)]
        let mut sets = vec![Isa(Level::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                sets.push(Isa(Level::Avx2));
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                sets.push(Isa(Level::Avx512));
            }
        }
        sets
    }

    /// f32 numbers in a vector.
    pub fn lanes(self) -> usize {
        match self.0 {
            Level::Scalar => Scalar::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::LANES,
        }
    }

    /// Rows of the matrix product's register tile.
    pub fn mr(self) -> usize {
        match self.0 {
            Level::Scalar => Scalar::MR,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::MR,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::MR,
        }
    }

    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }

    /// The best set, or the one that `wanted` names. A wish that cannot be met gives the best set and a reason.
    fn choose(wanted: Option<&str>) -> (Isa, Option<String>) {
        let sets = Isa::available();
        let best = sets[sets.len() - 1];
        let Some(wanted) = wanted else { return (best, None) };
        match sets.iter().find(|s| s.name() == wanted) {
            Some(&isa) => (isa, None),
            None => {
                let names: Vec<_> = sets.iter().map(|s| s.name()).collect();
                let why =
                    format!("DDGAN_CPU_ISA={wanted}: this machine has {}; using {}", names.join(", "), best.name());
                (best, Some(why))
            }
        }
    }
}

/// The instruction set the program runs with: the best, unless the environment variable `DDGAN_CPU_ISA` names another
/// (`scalar`, `avx2`, `avx512`).
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| {
        let wanted = std::env::var("DDGAN_CPU_ISA").ok().filter(|w| !w.is_empty());
        let (isa, complaint) = Isa::choose(wanted.as_deref());
        if let Some(why) = complaint {
            // Not eprintln, which panics where nobody reads.
            let _ = writeln!(std::io::stderr(), "warning: {why}");
        }
        isa
    })
}

/// The vectors of one instruction set.
///
/// # Safety
/// The vector functions may be called only inside a [`simd_fn!`] body (where the set is known to be there), and the
/// pointers must be valid for the lanes that are read or written; no alignment is needed.
#[allow(clippy::missing_safety_doc)] // once, above
pub trait Simd: Copy + 'static {
    /// f32 numbers in a vector.
    const LANES: usize;
    /// Rows of the matrix product's register tile: 2 MR accumulators, two vectors of B and one of A fill the registers.
    const MR: usize;
    type V: Copy;

    /// a * b + c, fused where there is such an instruction.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first n <= LANES numbers; the others are zero and not touched in memory.
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V;
    unsafe fn store_first(p: *mut f32, n: usize, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// a * b + c.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The sum of the lanes, in a fixed order.
    unsafe fn sum(v: Self::V) -> f32;
    /// Four neighbouring columns of LANES rows that are `ld` numbers apart: a transposition.
    unsafe fn columns4(p: *const f32, ld: usize) -> [Self::V; 4];
    /// Hints that the line at p is wanted soon; p need not be valid.
    unsafe fn prefetch(p: *const f32);
}

mod scalar;
pub use scalar::Scalar;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Defines a function compiled for every instruction set; its first argument, before those written, is the [`Isa`] to
/// use. `S` in the body stands for the set's [`Simd`]. See the head of this file.
macro_rules! simd_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$S:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $crate::backend::cpu::simd::simd_fn!(
            @define [$(#[$meta])* $vis fn] [] $name<$S>($($arg: $ty),*) [$(-> $ret)?] $body
        );
    };
    (
        $(#[$meta:meta])*
        $vis:vis unsafe fn $name:ident<$S:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    ) => {
        $crate::backend::cpu::simd::simd_fn!(
            @define [$(#[$meta])* $vis unsafe fn] [unsafe] $name<$S>($($arg: $ty),*) [$(-> $ret)?] $body
        );
    };
    (
        @define [$($head:tt)*] [$($safety:tt)?]
        $name:ident<$S:ident>($($arg:ident: $ty:ty),*) [$($ret:tt)*] $body:block
    ) => {
        #[allow(clippy::too_many_arguments)]
        $($head)* $name(isa: $crate::backend::cpu::simd::Isa, $($arg: $ty),*) $($ret)* {
            #[allow(clippy::too_many_arguments)]
            #[inline(always)]
            $($safety)? fn body<$S: $crate::backend::cpu::simd::Simd>($($arg: $ty),*) $($ret)* $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            unsafe fn avx512($($arg: $ty),*) $($ret)* {
                #[allow(unused_unsafe)]
                unsafe { body::<$crate::backend::cpu::simd::Avx512>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($($arg: $ty),*) $($ret)* {
                #[allow(unused_unsafe)]
                unsafe { body::<$crate::backend::cpu::simd::Avx2>($($arg),*) }
            }
            // SAFETY: an `Isa` is the proof that the machine has the set. What else the body asks for, the caller of an
            // unsafe function has promised.
            #[allow(unused_unsafe)]
            unsafe {
                #[cfg(target_arch = "x86_64")]
                if isa.is_avx512() {
                    return avx512($($arg),*);
                } else if isa.is_avx2() {
                    return avx2($($arg),*);
                }
                let _ = isa;
                body::<$crate::backend::cpu::simd::Scalar>($($arg),*)
            }
        }
    };
}
pub(crate) use simd_fn;

/// Runs a closure compiled for the machine's best instruction set: for generic loops that [`simd_fn!`] cannot name.
/// Mark the closure, and what it calls, `#[inline(always)]`; only what is inlined here is vectorised.
#[inline]
pub fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        let isa = isa();
        // SAFETY: an `Isa` is the proof that the machine has the set.
        unsafe {
            if isa.is_avx512() {
                return avx512(f);
            } else if isa.is_avx2() {
                return avx2(f);
            }
        }
    }
    f()
}

#[cfg(target_arch = "x86_64")]
impl Isa {
    #[inline(always)]
    pub fn is_avx2(self) -> bool {
        self.0 == Level::Avx2
    }
    #[inline(always)]
    pub fn is_avx512(self) -> bool {
        self.0 == Level::Avx512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    simd_fn! {
        fn dot<S>(x: &[f32], y: &[f32]) -> f32 {
            let mut sums = [0.0; SUM_LANES];
            for (x, y) in x.chunks_exact(SUM_LANES).zip(y.chunks_exact(SUM_LANES)) {
                for i in 0..SUM_LANES {
                    sums[i] = S::mul_add(x[i], y[i], sums[i]);
                }
            }
            sums.iter().sum()
        }
    }

    simd_fn! {
        /// # Safety
        /// x is valid for LANES numbers, y for LANES + 1.
        unsafe fn vectors<S>(n: usize, x: *const f32, y: *mut f32) -> f32 {
            unsafe {
                let v = S::load_first(x, n.min(S::LANES));
                let v = S::fma(v, S::splat(2.0), S::sub(S::mul(v, v), S::add(v, v)));
                S::store_first(y, n.min(S::LANES), v);
                S::prefetch(y);
                S::sum(S::load(x))
            }
        }
    }

    #[test]
    fn every_set_computes_the_same() {
        let x: Vec<f32> = (0..64).map(|i| i as f32).collect();
        for isa in Isa::available() {
            assert_eq!(dot(isa, &x, &x), 85344.0, "{isa:?}");
            for n in 0..=16 {
                let mut y = [-1.0; 17];
                // SAFETY: both are longer than any vector.
                let sum = unsafe { vectors(isa, n, x.as_ptr(), y.as_mut_ptr()) };
                let lanes =
                    [4, 8, 16].into_iter().find(|l| (l * (l - 1) / 2) as f32 == sum).expect("a sum of 0..lanes");
                for (i, &y) in y.iter().enumerate() {
                    // 2x + x^2 - 2x where written
                    assert_eq!(y, if i < n.min(lanes) { x[i] * x[i] } else { -1.0 }, "{isa:?} n={n} lane {i}");
                }
            }
        }
    }

    #[test]
    fn a_set_the_machine_lacks_gives_the_best_and_a_reason() {
        let best = *Isa::available().last().unwrap();
        assert_eq!(Isa::choose(None), (best, None));
        assert_eq!(Isa::choose(Some("scalar")).0.name(), "scalar");
        let (isa, why) = Isa::choose(Some("sse9"));
        assert_eq!(isa, best);
        assert!(why.unwrap().contains("DDGAN_CPU_ISA=sse9"));
    }
}
