//! The kernels for the host's processor, and the stand-in driver that runs them: see tests/emulator.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::compile::{self, Images, Job, headers};
use crate::scan::{NUMBERS, Source};

/// Names that cudarc looks for; the stand-in for all of them is one library.
const LIBRARIES: [&str; 3] = ["libcuda.so", "libcublasLt.so", "libcudnn.so"];

/// Builds the driver and all modules.
pub fn build(root: &Path, folder: &Path, sources: &[&Source]) -> Images {
    println!("cargo:rerun-if-changed=tests/emulator");
    println!("cargo:rerun-if-env-changed=CXX");
    // cargo puts this folder into the library path of whatever it runs, and cudarc looks for these names first.
    let libraries = folder.with_file_name("emulator");
    fs::create_dir_all(&libraries).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search=native={}", libraries.display());
    for alias in &LIBRARIES[1..] {
        let _ = fs::remove_file(libraries.join(alias));
        std::os::unix::fs::symlink(LIBRARIES[0], libraries.join(alias)).expect("a link in OUT_DIR");
    }
    let checked = env::var_os("CARGO_FEATURE_EMULATOR_CHECKED").is_some();
    let mut jobs = vec![driver(root, &libraries)];
    jobs.extend(modules(root, folder, sources, checked));
    compile::run(jobs);
    pack(folder, sources);
    Images { folder: folder.to_owned(), compiler: format!("{}, for the stand-in driver", cxx()) }
}

/// Builds modules alone. `checked`: every load and store is announced to the driver.
#[allow(dead_code)] // for tests/emulator/mutants.rs, which includes this file
pub fn build_modules(root: &Path, folder: &Path, sources: &[&Source], checked: bool) {
    compile::run(modules(root, folder, sources, checked));
    pack(folder, sources);
}

fn cxx() -> String {
    env::var("CXX").unwrap_or_else(|_| "g++".into())
}

fn compiler(root: &Path) -> Command {
    let mut command = Command::new(cxx());
    command.args(["-std=c++17", "-O2", "-g1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"]);
    command.args(["-Wno-unknown-pragmas", "-Wno-unused-function"]).arg("-I").arg(root.join("tests/emulator/dialect"));
    command
}

/// All of the driver's files included in one: compiled at once, they take a third of the time.
fn driver(root: &Path, folder: &Path) -> Job {
    let sources = root.join("tests/emulator/driver");
    let entries = fs::read_dir(&sources).expect("the stand-in driver's sources");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("a readable folder").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "cpp"));
    paths.sort();
    let whole = folder.join("driver.cpp");
    write_if_changed(&whole, &paths.iter().map(|p| format!("#include {p:?}\n")).collect::<String>());
    let output = folder.join(LIBRARIES[0]);
    let mut command = compiler(root);
    command.args(["-shared", "-Wl,-soname,libcuda.so", "-o"]).arg(&output).arg(whole);
    Job { inputs: vec![sources, root.join("tests/emulator/abi.h")], output, commands: vec![command] }
}

fn modules(root: &Path, folder: &Path, sources: &[&Source], checked: bool) -> Vec<Job> {
    let mut jobs = Vec::new();
    for source in sources {
        for number in source.numbers() {
            let name = source.image(number);
            let [cpp, object, output] = ["cpp", "o", "so"].map(|e| folder.join(&name).with_extension(e));
            write_if_changed(&cpp, &module(source, number));
            let mut compile = compiler(root);
            compile.args(["-fno-strict-aliasing", "-ffp-contract=off", "-fno-gnu-unique", "-fstack-clash-protection"]);
            compile.arg("-fsanitize=bounds,alignment,integer-divide-by-zero");
            if checked {
                compile.args(["-fsanitize=thread", "-Wno-tsan", "-DEMU_CHECKED"]);
            }
            compile.arg("-c").arg(&cpp).arg("-o").arg(&object);
            // Compiled and linked apart, so that no sanitizer's own library is linked.
            let mut link = Command::new(cxx());
            link.args(["-shared", "-Wl,-Bsymbolic", "-o"]).arg(&output).arg(object);
            let dialect = ["tests/emulator/dialect", "tests/emulator/abi.h"].map(|path| root.join(path));
            let mut inputs = headers(&[&root.join("kernels"), source.path.parent().expect("a file in a folder")]);
            inputs.extend(dialect.into_iter().chain([cpp, source.path.clone()]));
            jobs.push(Job { inputs, output, commands: vec![compile, link] });
        }
    }
    jobs
}

/// The one file that a module is compiled from: the dialect, the source, and a table entry for each kernel.
fn module(source: &Source, number: usize) -> String {
    let mut text = String::new();
    if source.is_generic() {
        text += &format!("#define NUMBER {}\n", NUMBERS[number].0);
    }
    text += &format!("#include \"dialect.h\"\n#include {:?}\n", source.path);
    for kernel in &source.kernels {
        if kernel.is_generic() || source.number_of(kernel) == number {
            text += &format!("EMU_KERNEL({}, {})\n", kernel.name, kernel.threads);
        }
    }
    text
}

/// Puts the header of an image before each library: `ImageHeader` of tests/emulator/abi.h.
fn pack(folder: &Path, sources: &[&Source]) {
    for source in sources {
        for number in source.numbers() {
            let name = source.image(number);
            let library = folder.join(&name).with_extension("so");
            let library = fs::read(&library).unwrap_or_else(|e| panic!("{}: {e}", library.display()));
            assert!(name.len() < 56, "{name}: too long a name");
            let header = [b"EMULATOR", name.as_bytes(), &vec![0; 56 - name.len()]].concat();
            let image = [&header[..], &(library.len() as u64).to_le_bytes(), &library].concat();
            fs::write(folder.join(format!("{name}.fatbin")), image).expect("OUT_DIR is writable");
        }
    }
}

fn write_if_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
