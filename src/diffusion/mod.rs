//! The diffusion process: its schedule of noise, the forward pair, the posterior, and the way back.

mod coefficients;
pub mod process;
mod reverse;
pub mod schedule;

pub use coefficients::{Generated, Mix, Reverse};
pub use process::Process;
pub use reverse::{Method, Prediction, SamplerKind};
pub use schedule::{Schedule, ScheduleConfig, ScheduleKind};
