//! The networks, with the published parameter names.

pub mod discriminator;
pub mod ncsnpp;

pub use discriminator::{Discriminator, DiscriminatorConfig};
pub use ncsnpp::{Generator, GeneratorConfig};
