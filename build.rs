//! Compiles the CUDA kernels and generates the functions that launch them.
//!
//! With nvcc at hand each kernels/*.cu becomes a fat binary that the program carries; without it the program runs on
//! the CPU. With the feature `emulator` the same files become host code for the stand-in driver in tests/emulator.

#[path = "build/compile.rs"]
mod compile;
#[path = "build/emulator.rs"]
mod emulator;
#[path = "build/launch.rs"]
mod launch;
#[path = "build/nvcc.rs"]
mod nvcc;
#[path = "build/params.rs"]
mod params;
#[path = "build/scan.rs"]
mod scan;

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    for path in ["build.rs", "build"] {
        println!("cargo:rerun-if-changed={path}");
    }
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for path in ["kernels", params::RUST_SOURCES[0], params::RUST_SOURCES[1]] {
        println!("cargo:rerun-if-changed={path}");
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));

    let sources = scan::sources(&root.join("kernels"));
    params::check(&root);
    let images = build_images(&root, &out, &sources);
    launch::generate(&out, &sources, images);
}

/// Compiles every source for every number type it is made for; tells where the images are, or that there are none.
fn build_images(root: &Path, out: &Path, sources: &[scan::Source]) -> Option<compile::Images> {
    let folder = out.join("kernels");
    std::fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    if env::var_os("CARGO_FEATURE_EMULATOR").is_some() {
        return Some(emulator::build(root, &folder, sources));
    }
    nvcc::build(root, &folder, sources)
}
