//! What a generator is worth: its pictures beside those of a data set.

mod classifier;
mod collect;
mod evaluate;
mod extractor;
mod inception;
mod journal;
mod npz;
mod points;
mod report;
mod statistics;
mod subject;
mod training;

pub use classifier::{About, SavedClassifier};
pub use evaluate::{Options, Reference, evaluate};
pub use extractor::{Extractor, Verdicts};
pub use inception::SavedInception;
pub use points::evaluate_points;
pub use report::{Evaluation, Labels, Sampling};
pub use statistics::Statistics;
pub use subject::{Subject, run_of};
pub use training::{ClassifierTraining, Progress, train_classifier};
