//! Layers: parameters under their published names, and a forward pass in operations.

mod attention;
mod conv2d;
mod init;
mod linear;
mod norm;
mod param;
mod resample;
mod time;

pub use attention::Attention;
pub use conv2d::{Conv2d, Conv2dSpec, Fused};
pub use init::{Fan, Init};
pub use linear::Linear;
pub use norm::{AdaptiveGroupNorm, GroupNorm};
pub use param::{Param, Scope, count};
pub use resample::{Filter, Resize};
pub use time::{FourierEmbedding, Timesteps};
