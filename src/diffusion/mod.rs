//! The diffusion process: its schedule of noise, the forward pair and the posterior.

pub mod process;
pub mod schedule;

pub use process::Process;
pub use schedule::{Schedule, ScheduleConfig};
