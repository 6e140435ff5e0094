//! The kernels for the host's processor, and the stand-in driver that runs them: see tests/emulator.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::compile::{self, Images, Job};
use crate::scan::{NUMBERS, Source};

/// What an image for the stand-in driver begins with; then comes the length of a shared library, and the library.
const MAGIC: &[u8; 8] = b"EMULATOR";
/// Names that cudarc looks for; the stand-in for all of them is one library.
const LIBRARIES: [&str; 2] = ["libcuda.so", "libcublasLt.so"];

pub fn build(root: &Path, folder: &Path, sources: &[&Source]) -> Images {
    let emulator = root.join("tests/emulator");
    println!("cargo:rerun-if-changed=tests/emulator");
    println!("cargo:rerun-if-env-changed=CXX");
    let cxx = env::var("CXX").unwrap_or_else(|_| "g++".into());
    let compiler = || {
        let mut command = Command::new(&cxx);
        command.args(["-std=c++17", "-O2", "-g1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"]);
        command.args(["-Wno-unknown-pragmas", "-Wno-unused-function"]).arg("-I").arg(emulator.join("dialect"));
        command
    };
    let link = |library: &Path| {
        let mut command = Command::new(&cxx);
        command.args(["-shared", "-Wl,-Bsymbolic", "-o"]).arg(library);
        command
    };

    // cargo puts this folder into the library path of whatever it runs, and cudarc looks for these names first.
    let libraries = folder.with_file_name("emulator");
    fs::create_dir_all(&libraries).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search=native={}", libraries.display());
    let driver = libraries.join(LIBRARIES[0]);
    let mut command = compiler();
    command.args(["-shared", "-Wl,-soname,libcuda.so", "-o"]).arg(&driver).arg(whole_driver(&emulator, &libraries));
    let mut jobs = vec![Job { output: driver, commands: vec![command] }];
    for alias in &LIBRARIES[1..] {
        let _ = fs::remove_file(libraries.join(alias));
        std::os::unix::fs::symlink(LIBRARIES[0], libraries.join(alias)).expect("a link in OUT_DIR");
    }

    let mut modules = Vec::new();
    for source in sources {
        for number in source.numbers() {
            let name = source.image(number);
            let [cpp, object, library] = ["cpp", "o", "so"].map(|e| folder.join(&name).with_extension(e));
            write_if_changed(&cpp, &module(source, number));
            let mut compile = compiler();
            compile.args(["-fno-strict-aliasing", "-ffp-contract=off", "-fno-gnu-unique", "-fstack-clash-protection"]);
            compile.arg("-fsanitize=bounds,alignment,integer-divide-by-zero");
            if env::var_os("CARGO_FEATURE_EMULATOR_CHECKED").is_some() {
                compile.args(["-fsanitize=thread", "-Wno-tsan", "-DEMU_CHECKED"]);
            }
            compile.arg("-c").arg(cpp).arg("-o").arg(&object);
            // Compiled and linked apart, so that no sanitizer's own library is linked.
            let mut link = link(&library);
            link.arg(object);
            modules.push((library.clone(), folder.join(format!("{name}.fatbin"))));
            jobs.push(Job { output: library, commands: vec![compile, link] });
        }
    }
    let inputs = [
        root.join("kernels"),
        emulator.join("driver"),
        emulator.join("dialect"),
        emulator.join("kernels"),
        emulator.join("abi.h"),
    ];
    compile::run(jobs, &inputs);
    for (library, image) in modules {
        let library = fs::read(&library).unwrap_or_else(|e| panic!("{}: {e}", library.display()));
        let bytes = [MAGIC, &(library.len() as u64).to_le_bytes()[..], &library].concat();
        fs::write(&image, bytes).unwrap_or_else(|e| panic!("{}: {e}", image.display()));
    }
    Images { folder: folder.to_owned(), compiler: format!("{cxx}, for the stand-in driver") }
}

/// One file that includes all of the driver: compiled at once, it takes a third of the time.
fn whole_driver(emulator: &Path, folder: &Path) -> PathBuf {
    let entries = fs::read_dir(emulator.join("driver")).expect("the stand-in driver's sources");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("a readable folder").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "cpp"));
    paths.sort();
    let whole = folder.join("driver.cpp");
    write_if_changed(&whole, &paths.iter().map(|p| format!("#include {p:?}\n")).collect::<String>());
    whole
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

fn write_if_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
