//! What tests and benches share: the list of cases, the gradient check, closeness, golden fixtures.

pub mod cases;
pub mod closeness;
pub mod fixtures;
mod gradient;
pub mod parity;
pub mod verify;

pub use gradient::check_gradients;
