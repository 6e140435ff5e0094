//! Where numbers live and are worked on: devices, their memory, and one kernel a file.

pub mod cpu;
pub mod philox;
