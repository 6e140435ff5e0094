//! Denoising diffusion GANs: a small engine that trains, samples and measures them.
//!
//! The modules, from the top of the stack to the bottom. A module uses only what stands below it.

pub mod cli;
pub mod testing;
pub mod sweep;
pub mod report;
pub mod eval;
pub mod profile;
pub mod train;
pub mod sample;
pub mod models;
pub mod checkpoint;
pub mod nn;
pub mod diffusion;
pub mod metrics;
pub mod data;
pub mod ops;
pub mod autograd;
pub mod tensor;
pub mod backend;
pub mod pickle;
pub mod system;
pub mod fsutil;
pub mod error;

pub use error::{Error, Result};
