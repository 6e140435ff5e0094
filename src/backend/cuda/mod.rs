//! NVIDIA GPUs: one file an operation, which does nothing but launch its kernels (kernels/*.cu, the same stem).
//!
//! The launch functions in [`launch`] are generated from the kernels' signatures, so a wrong name, count, order or
//! width of arguments does not compile. Shapes were checked in `ops` and are trusted here.

mod blas;
mod event;
mod gpu;
mod graph;
pub mod launch;
mod libraries;
mod memory;
mod number;
mod pinned;
mod storage;

pub mod adam;
pub mod affine;
pub mod attention;
pub mod cast;
pub mod concat;
pub mod conv2d;
pub mod dropout;
pub mod fill;
pub mod forward_noise;
pub mod group_norm;
pub mod leaky_relu;
pub mod matmul;
pub mod mul;
pub mod pool2d;
pub mod posterior_sample;
pub mod power;
pub mod random;
pub mod resample;
pub mod scale_add;
pub mod scale_samples;
pub mod silu;
pub mod sin;
pub mod softplus;
pub mod sum;
pub mod tanh;

pub use gpu::{Gpu, count};
pub use graph::Graph;
pub use libraries::Library;
pub use number::Number;
pub(crate) use number::by_number;
pub use pinned::Fetch;
pub use storage::{In, Out, Storage, Table};

use super::DType;
