//! Pages about runs, each one file with everything in it: for a browser on a desk or a phone, and for paper.

mod compare;
mod compare_page;
mod compare_picture;
mod curves;
mod group;
mod html;
mod measured;
mod picture;
mod plot;
mod record;
mod run_page;
mod table;
mod trajectory;

pub use compare::Comparison;
pub use measured::Measured;
pub use record::Record;
pub use run_page::{RunPage, run_page};
