//! From noise to pictures, and from pictures to files.

pub mod grid;
mod posterior;
mod source;

pub use grid::Pictures;
pub use posterior::{Denoised, denoise, draw};
pub use source::Source;
