//! The number types of GPUs. A kernel that takes `T` is there once for each; it computes in f32 in either case.

use half::bf16;

use crate::backend::DType;

pub trait Number: bytemuck::Pod + Send + Sync {
    const DTYPE: DType;
    /// Its place among the number types that kernels are compiled for.
    const INDEX: usize;
    fn from_f32(x: f32) -> Self;
    fn to_f32(self) -> f32;
}

impl Number for f32 {
    const DTYPE: DType = DType::F32;
    const INDEX: usize = 0;
    fn from_f32(x: f32) -> Self {
        x
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl Number for bf16 {
    const DTYPE: DType = DType::BF16;
    const INDEX: usize = 1;
    fn from_f32(x: f32) -> Self {
        bf16::from_f32(x)
    }
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}

/// Evaluates an expression, a result, with `T` standing for the number type of a storage:
/// `by_number!(x.dtype(), T => launch::scale::<T>(gpu, 1, y.write(), x.read()))`.
macro_rules! by_number {
    ($dtype:expr, $T:ident => $e:expr) => {
        match $dtype {
            $crate::backend::DType::F32 => {
                type $T = f32;
                $e
            }
            $crate::backend::DType::BF16 => {
                type $T = half::bf16;
                $e
            }
            $crate::backend::DType::F64 => Err($crate::Error::cuda("f64 is computed on the CPU alone")),
        }
    };
}
pub(crate) use by_number;
