//! From noise to pictures, and from pictures to files.

pub mod grid;
mod noise;
mod output;
mod png;
mod points;
mod published;
mod replay;
mod sampler;
mod samples;
mod seeds;
mod source;
mod timing;
mod trajectory;

pub use grid::Pictures;
pub use noise::{Draw, SampleId};
pub use output::{Output, Plan};
pub use points::Points;
pub use published::{Known, Model, overlay};
pub use sampler::{Denoised, Sampler, denoise, draw};
pub use samples::{Samples, ensure_finite};
pub use seeds::SeedList;
pub use source::{Source, Which};
pub use timing::Timing;
pub use trajectory::{trajectory, trajectory_len};
