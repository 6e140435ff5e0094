//! The networks, with the published parameter names.

mod classifier;
pub mod discriminator;
mod generator;
mod inception;
mod mlp;
pub mod ncsnpp;

pub use classifier::{Classifier, Scores};
pub use discriminator::{Discriminator, DiscriminatorConfig};
pub use generator::Generator;
pub use inception::Inception;
pub use ncsnpp::GeneratorConfig;
