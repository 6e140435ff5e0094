//! NVIDIA GPUs: one file an operation, which does nothing but launch its kernels (kernels/*.cu, the same stem).
//!
//! The launch functions in [`launch`] are generated from the kernels' signatures, so a wrong name, count, order or
//! width of arguments does not compile. Shapes were checked in `ops` and are trusted here.

mod gpu;
pub mod launch;
mod memory;
mod missing;
mod number;
mod storage;

pub mod silu;

pub use missing::*;

pub use gpu::{Gpu, count};
pub use number::Number;
pub(crate) use number::by_number;
pub use storage::{In, Out, Storage};

use super::DType;
