//! Everything that is tested from outside the library, as one program: a module per concern.

mod checkpoint;
mod cifar;
mod config;
mod cuda;
mod data;
mod discriminator;
mod download;
mod fixtures;
mod flags;
mod generator;
mod gradients;
mod infer;
mod lmdb;
mod loader;
mod parameters;
mod pickle;
mod picture_files;
mod pictures;
mod program;
mod pth;
mod resume;
mod sampling;
mod schedule;
mod toys;
mod training;
mod structure;
