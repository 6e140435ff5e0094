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
#[path = "build/versions.rs"]
mod versions;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    for path in ["build.rs", "build"] {
        println!("cargo:rerun-if-changed={path}");
    }
    versions::tell();
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for path in ["kernels", "tests/emulator/kernels", params::RUST_SOURCES[0], params::RUST_SOURCES[1]] {
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
/// Beside them the kernels of the stand-in driver's own tests, as empty files if they were not compiled.
fn build_images(root: &Path, out: &Path, sources: &[scan::Source]) -> Option<compile::Images> {
    let folder = out.join("kernels");
    fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    let tests = scan::sources(&root.join("tests/emulator/kernels"));
    let emulated = env::var_os("CARGO_FEATURE_EMULATOR").is_some();
    // Those that make mistakes on purpose are for the stand-in alone.
    let (built, left) = tests.iter().partition::<Vec<_>, _>(|s| emulated || s.stem == "builtins");
    let all: Vec<&scan::Source> = sources.iter().chain(built).collect();
    let images = if emulated { Some(emulator::build(root, &folder, &all)) } else { nvcc::build(root, &folder, &all) };
    for source in if images.is_some() { left } else { tests.iter().collect() } {
        fs::write(folder.join(format!("{}.fatbin", source.image(0))), []).expect("OUT_DIR is writable");
    }
    images
}
