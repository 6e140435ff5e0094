//! The tests that use the library from outside, in one binary: a module per concern.

mod data;
mod loader;
mod pictures;
