//! The diffusion process: its schedule of noise, the forward pair, the posterior, and the way back.

pub mod process;
mod reverse;
pub mod schedule;

pub use process::{Generated, Process};
pub use reverse::{Method, Prediction, SamplerKind};
pub use schedule::{Schedule, ScheduleConfig, ScheduleKind};
