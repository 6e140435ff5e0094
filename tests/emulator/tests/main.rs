//! The stand-in for the CUDA driver: that it does what a GPU does, and that it finds what kernels do wrong.
//!
//! With a real GPU, `builtins` and `runtime` run on that: what they expect is what hardware gives.

mod blas;
mod builtins;
mod dnn;
mod gpu;
mod mistakes;
mod runtime;
