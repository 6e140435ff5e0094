//! NVIDIA's libraries, found where they usually are: nobody has to set LD_LIBRARY_PATH.

use std::env;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library as Loaded, RTLD_GLOBAL, RTLD_NOW};

/// A library that may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    CublasLt,
    Cudnn,
}

/// Versions of cuDNN that have what is called here, in its own way of counting.
const CUDNN: std::ops::Range<usize> = 90_000..100_000;

impl Library {
    pub const ALL: [Library; 2] = [Library::CublasLt, Library::Cudnn];

    pub fn name(self) -> &'static str {
        match self {
            Library::CublasLt => "cuBLASLt",
            Library::Cudnn => "cuDNN",
        }
    }

    /// What files of it are called, newest first.
    fn files(self) -> &'static [&'static str] {
        match self {
            Library::CublasLt => &["libcublasLt.so.13", "libcublasLt.so.12"],
            Library::Cudnn => &["libcudnn.so.9"],
        }
    }

    /// Whether the system's own search finds it, or an earlier call here did.
    fn is_known(self) -> bool {
        // SAFETY: looks for a library, no more. cudarc panics where it is missing, so this is asked first.
        match self {
            Library::CublasLt => unsafe { cudarc::cublaslt::sys::is_culib_present() },
            Library::Cudnn => CUDNN.contains(&Library::cudnn_version()),
        }
    }

    /// 91700 is 9.17.0; 0 where it is not found.
    pub fn cudnn_version() -> usize {
        // SAFETY: as in `is_known`.
        if unsafe { cudarc::cudnn::sys::is_culib_present() } { cudarc::cudnn::result::get_version() } else { 0 }
    }

    /// What was found of it, in words.
    pub fn state(self) -> String {
        let found = self.find();
        match self {
            Library::CublasLt => if found { "found" } else { "not found" }.into(),
            Library::Cudnn => {
                let version = Library::cudnn_version();
                let [major, minor, patch] = [version / 10_000, version / 100 % 100, version % 100];
                match version {
                    0 => "not found".into(),
                    _ if found => format!("{major}.{minor}.{patch}"),
                    _ => format!("{major}.{minor}.{patch}, which this program cannot use"),
                }
            }
        }
    }

    /// Whether it can be used. What is found in a folder is loaded by its path; the loader then knows it by name.
    pub fn find(self) -> bool {
        if self.is_known() {
            return true;
        }
        if self == Library::Cudnn {
            Library::CublasLt.find(); // which it loads by name
        }
        let paths = folders().into_iter().flat_map(|folder| self.files().iter().map(move |file| folder.join(file)));
        for path in paths.filter(|path| path.is_file()) {
            // SAFETY: a library of NVIDIA's; loading it runs its own initialisation. It stays for the process.
            if let Ok(library) = unsafe { Loaded::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) } {
                std::mem::forget(library);
                return self.is_known();
            }
        }
        false
    }
}

/// Where toolkits and NVIDIA's Python packages put libraries.
fn folders() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(variable);
    let toolkits = toolkits.chain(["/usr/local/cuda", "/opt/cuda"].map(PathBuf::from));
    let mut folders: Vec<PathBuf> =
        toolkits.flat_map(|toolkit| [toolkit.join("lib64"), toolkit.join("targets/x86_64-linux/lib")]).collect();
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable);
    // In containers environments are often on the path without being active: X/bin is the programs of X.
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).filter(|p| p.ends_with("bin")).filter_map(|p| Some(p.parent()?.to_owned()));
    for environment in active.chain(on_path).chain(["/usr/local", "/usr"].map(PathBuf::from)) {
        for python in children(&environment.join("lib")) {
            for packages in ["site-packages", "dist-packages"] {
                // nvidia/cu13/lib, nvidia/cublas/lib, nvidia/cudnn/lib
                folders.extend(children(&python.join(packages).join("nvidia")).into_iter().map(|p| p.join("lib")));
            }
        }
    }
    folders
}

fn children(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|entries| entries.flatten().map(|e| e.path()).collect()).unwrap_or_default()
}
