//! Weights on disk.

pub mod published;
pub mod safetensors;
