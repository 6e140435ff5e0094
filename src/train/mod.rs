//! Training: the step as a list of phases, and the run around it.

mod config;
mod cosine;
mod data;
mod ddpm;
mod export;
mod import;
mod inputs;
mod layers;
pub mod losses;
mod memory;
mod objectives;
mod optimizer;
mod presets;
mod progress;
mod resume;
mod run;
mod run_dir;
mod saver;
mod state;
mod stats;
mod step;

pub use config::TrainConfig;
pub use cosine::cosine_annealing;
pub use export::export_discriminator;
pub use import::{Import, for_model};
pub use inputs::{HalfInputs, StepInputs};
pub use layers::Layer;
pub use memory::{Footprint, machine_memory};
pub use optimizer::{Gradients, Optimizer};
pub use presets::{PRESETS, preset, preset_for, published_defaults};
pub use resume::Earlier;
pub use run::{Ending, Finished, RunOptions, run};
pub use run_dir::{RunDir, is_run, published_folder, short_name};
pub use state::Snapshot;
pub use stats::{Stats, peak_memory_mib};
pub use step::{DiscriminatorLosses, Losses, Trainer};
