//! What tests and benches share: the list of cases, the gradient check, closeness.

pub mod cases;
mod gradient;

pub use gradient::check_gradients;
