//! From noise to pictures, and from pictures to files.

pub mod grid;

pub use grid::Pictures;
