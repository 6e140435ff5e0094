//! Everything that is tested from outside the library, as one program: a module per concern.

mod checkpoint;
mod data;
mod fixtures;
mod gradients;
mod loader;
mod pictures;
mod schedule;
mod structure;
