//! The two number types of the CPU: f32, which trains and samples, and f64, the oracle for gradient checks.

use super::{Buffer, Storage, gemm, naive};
use crate::backend::params::Gemm;

pub trait Float:
    bytemuck::Pod
    + Send
    + Sync
    + PartialOrd
    + std::fmt::Debug
    + std::fmt::Display
    + std::iter::Sum
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::SubAssign
    + std::ops::MulAssign
{
    const ZERO: Self;
    const ONE: Self;
    fn of(x: f64) -> Self;
    fn f64(self) -> f64;
    fn exp(self) -> Self;
    fn ln_1p(self) -> Self;
    fn sqrt(self) -> Self;
    fn powf(self, p: Self) -> Self;
    fn tanh(self) -> Self;
    fn sin(self) -> Self;
    fn abs(self) -> Self;
    fn max(self, other: Self) -> Self;

    /// C = alpha op(A) op(B) + beta C.
    fn gemm(g: &Gemm, a: &[Self], b: &[Self], c: &mut [Self]);

    /// The numbers of a storage that is known to be of this type.
    fn slice(s: &Storage) -> &[Self];
    fn slice_mut(s: &mut Storage) -> &mut [Self];
    fn store(b: Buffer<Self>) -> Storage;
}

macro_rules! float {
    ($t:ty, $variant:ident, $exp:expr, $gemm:expr) => {
        impl Float for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                self.ln_1p()
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn powf(self, p: Self) -> Self {
                self.powf(p)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                self.tanh()
            }
            #[inline(always)]
            fn sin(self) -> Self {
                self.sin()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other { self } else { other }
            }

            fn gemm(g: &Gemm, a: &[Self], b: &[Self], c: &mut [Self]) {
                $gemm(g, a, b, c)
            }

            fn slice(s: &Storage) -> &[Self] {
                match s {
                    Storage::$variant(b) => b,
                    other => panic!("a {} tensor where {} was expected", other.dtype(), stringify!($t)),
                }
            }
            fn slice_mut(s: &mut Storage) -> &mut [Self] {
                match s {
                    Storage::$variant(b) => b,
                    other => panic!("a {} tensor where {} was expected", other.dtype(), stringify!($t)),
                }
            }
            fn store(b: Buffer<Self>) -> Storage {
                Storage::$variant(b)
            }
        }
    };
}

float!(f32, F32, exp_f32, gemm::gemm);
float!(f64, F64, f64::exp, naive::matmul);

/// e^x to about 1 ulp, of operations that a loop over many can be vectorised with, and the same bits on every
/// instruction set: 2^n e^r with n = round(x / ln 2), r = x - n ln 2 in two parts, and e^r by its Taylor polynomial of
/// degree 7 on |r| <= ln 2 / 2 (remainder below 6e-9 relative).
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Beyond these e^x is 0 or infinite to f32 (subnormal results are given up). NaN goes through.
    let clamped = if x < -87.0 { -87.0 } else { x };
    let clamped = if clamped > 88.0 { 88.0 } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + coefficient;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
    let result = p * power;
    let result = if x > 88.72 { f32::INFINITY } else { result };
    if x < -87.33 { 0.0 } else { result }
}

/// Evaluates an expression with `T` standing for the number type of a storage:
/// `by_float!(x.dtype(), T => T::store(scale::<T>(T::slice(x))))`.
macro_rules! by_float {
    ($dtype:expr, $T:ident => $e:expr) => {
        match $dtype {
            $crate::backend::DType::F32 => {
                type $T = f32;
                $e
            }
            $crate::backend::DType::F64 => {
                type $T = f64;
                $e
            }
            $crate::backend::DType::BF16 => unreachable!("no storage of the CPU is of bf16"),
        }
    };
}
pub(crate) use by_float;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        let mut worst: f64 = 0.0;
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            let exact = (x as f64).exp();
            worst = worst.max(((Float::exp(x) as f64 - exact) / exact).abs());
        }
        assert!(worst < 2.0 * f32::EPSILON as f64, "relative error {worst:e}");
    }

    #[test]
    fn exp_at_the_edges() {
        assert_eq!(Float::exp(0.0f32), 1.0);
        assert_eq!(Float::exp(-1000.0f32), 0.0);
        assert_eq!(Float::exp(1000.0f32), f32::INFINITY);
        assert_eq!(Float::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(Float::exp(f32::INFINITY), f32::INFINITY);
        assert!(Float::exp(f32::NAN).is_nan());
    }
}
