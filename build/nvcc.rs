//! The kernels for GPUs: finds nvcc and makes one fat binary of each source and number type.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compile::{self, Images, Job, headers};
use crate::scan::{NUMBERS, Source};

/// Machine code for these, as far as nvcc knows them: A100, L4 and RTX 40, H100 and H200, B200, RTX 50.
const MACHINES: [&str; 5] = ["80", "89", "90a", "100", "120"];
/// PTX for the oldest of them, which the driver compiles for any other GPU.
const PTX: &str = "ptx80";

pub fn build(root: &Path, folder: &Path, sources: &[&Source]) -> Option<Images> {
    for name in
        ["NVCC", "CUDA_HOME", "CUDA_PATH", "PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "DDGAN_CUDA_ARCHS", "DDGAN_NVCC"]
    {
        println!("cargo:rerun-if-env-changed={name}");
    }
    // off, auto, require: an error without nvcc; strict: and one for each warning.
    let mode = env::var("DDGAN_NVCC").unwrap_or_default();
    let strict = mode == "strict";
    let nvcc = if mode == "off" { None } else { find(root) };
    let Some(nvcc) = nvcc else {
        let required = strict || mode == "require";
        assert!(!required, "DDGAN_NVCC={mode}, but nvcc was not found; scripts/get-nvcc installs it");
        return None; // not worth a warning on a machine without a GPU: `ddgan doctor` tells
    };
    let targets = targets(&nvcc);
    let jobs = sources.iter().flat_map(|source| {
        source.numbers().map(|number| {
            let output = folder.join(format!("{}.fatbin", source.image(number)));
            let mut command = Command::new(&nvcc);
            command.args(["-fatbin", "-O3", "-std=c++17", "-lineinfo"]);
            if strict {
                command.args(["-Werror", "all-warnings"]);
            }
            if source.is_generic() {
                command.arg(format!("-DNUMBER={}", NUMBERS[number].0));
            }
            command.args(&targets).arg(&source.path).arg("-o").arg(&output);
            let mut inputs = headers(&[&root.join("kernels")]);
            inputs.push(source.path.clone());
            Job { inputs, output, commands: vec![command] }
        })
    });
    compile::run(jobs.collect());
    Some(Images { folder: folder.to_owned(), compiler: version(&nvcc) })
}

fn find(root: &Path) -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(nvcc) = variable("NVCC") {
        return Some(nvcc);
    }
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(variable).map(|t| t.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = env::split_paths(&path).collect();
    // Where scripts/get-nvcc installs, and the same wheels of an environment that is active.
    let wheels = [Some(root.join(".nvcc")), variable("VIRTUAL_ENV"), variable("CONDA_PREFIX")];
    let wheels = wheels.into_iter().flatten().flat_map(|environment| wheel_folders(&environment));
    let usual = ["/usr/local/cuda/bin", "/opt/cuda/bin"].map(PathBuf::from);
    toolkits.chain(path).chain(wheels).chain(usual).map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file())
}

/// The `bin` of NVIDIA's wheels in a Python environment, or in a folder that `pip install --target` made.
fn wheel_folders(environment: &Path) -> Vec<PathBuf> {
    let children = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default()
    };
    let pythons = children(&environment.join("lib")).into_iter().map(|python| python.join("site-packages"));
    let packages = pythons.chain([environment.to_owned()]);
    packages.flat_map(|p| children(&p.join("nvidia"))).map(|toolkit| toolkit.join("bin")).collect()
}

/// `-gencode` for each machine of DDGAN_CUDA_ARCHS, as in `80,90a,ptx80`, or of those that nvcc knows.
fn targets(nvcc: &Path) -> Vec<String> {
    let known = output(nvcc, "--list-gpu-code");
    let knows = |machine: &&str| known.lines().any(|line| line.trim() == format!("sm_{machine}"));
    let wanted = env::var("DDGAN_CUDA_ARCHS").ok().filter(|v| !v.is_empty());
    let list: Vec<&str> = match &wanted {
        Some(list) => list.split(',').map(str::trim).collect(),
        None => MACHINES.into_iter().filter(knows).chain([PTX]).collect(),
    };
    let target = |arch: &str| match arch.strip_prefix("ptx") {
        Some(virtual_arch) => format!("-gencode=arch=compute_{virtual_arch},code=compute_{virtual_arch}"),
        None => format!("-gencode=arch=compute_{arch},code=sm_{arch}"),
    };
    list.into_iter().map(target).collect()
}

fn version(nvcc: &Path) -> String {
    let text = output(nvcc, "--version");
    let version = text.split_once(", V").and_then(|(_, rest)| rest.lines().next()).unwrap_or("of unknown version");
    format!("nvcc {}", version.trim())
}

fn output(nvcc: &Path, argument: &str) -> String {
    let output = Command::new(nvcc).arg(argument).output();
    let output = output.unwrap_or_else(|e| panic!("{} {argument}: {e}", nvcc.display()));
    assert!(output.status.success(), "{} {argument} failed", nvcc.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
