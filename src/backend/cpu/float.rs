//! The two number types of the CPU: f32, which trains and samples, and f64, the oracle for gradient checks.

use super::{Buffer, Storage};

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
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    fn powf(self, p: Self) -> Self;
    fn tanh(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn abs(self) -> Self;
    fn max(self, other: Self) -> Self;

    /// The numbers of a storage that is known to be of this type.
    fn slice(s: &Storage) -> &[Self];
    fn slice_mut(s: &mut Storage) -> &mut [Self];
    fn store(b: Buffer<Self>) -> Storage;
}

macro_rules! float {
    ($t:ty, $variant:ident) => {
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
                self.exp()
            }
            #[inline(always)]
            fn ln(self) -> Self {
                self.ln()
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
            fn cos(self) -> Self {
                self.cos()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                self.max(other)
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

float!(f32, F32);
float!(f64, F64);

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
        }
    };
}
pub(crate) use by_float;
