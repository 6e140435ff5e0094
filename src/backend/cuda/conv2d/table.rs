//! What was measured, in a file: nobody waits for it twice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cudarc::driver::sys;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tuner::Candidate;
use crate::backend::cuda::launch::IMAGES;
use crate::backend::cuda::{Gpu, Library};
use crate::error::IoContext;
use crate::{Error, Result};

/// A larger file is none of ours.
const MOST_BYTES: u64 = 16 << 20;

/// What the times of another device, driver, library or program would be no help for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    device: String,
    driver: i32,
    /// What the library calls its version; none where it is not used.
    cudnn: Option<usize>,
    /// SHA-256 of the kernels.
    kernels: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Content {
    of: Identity,
    /// Of a run, by what is computed and who computes it.
    seconds: BTreeMap<String, BTreeMap<String, f64>>,
}

pub struct Table {
    /// None where nothing is kept.
    path: Option<PathBuf>,
    content: Content,
}

impl Identity {
    pub fn of(gpu: &Gpu, with_cudnn: bool) -> Result<Identity> {
        let mut driver = 0;
        // SAFETY: writes one number.
        unsafe { sys::cuDriverGetVersion(&mut driver) }.result().map_err(|e| gpu.error("asking its version", e))?;
        let mut kernels = Sha256::new();
        for image in IMAGES.iter().filter(|image| image.name.starts_with("conv2d")) {
            kernels.update(image.bytes);
        }
        let cudnn = with_cudnn.then(Library::cudnn_version);
        Ok(Identity { device: gpu.name().to_owned(), driver, cudnn, kernels: hex(&kernels.finalize()) })
    }

    fn file(&self) -> String {
        let text = serde_json::to_vec(self).expect("text and numbers");
        format!("convolutions-{}.json", &hex(&Sha256::digest(text))[..16])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Table {
    /// With what is in the folder's file for this identity. Says on stderr if that is damaged.
    pub fn open(folder: Option<&Path>, of: Identity) -> Table {
        let path = folder.map(|folder| folder.join(of.file()));
        let read = path.as_deref().map_or(Ok(None), |path| Content::read(path, &of));
        let content = read.unwrap_or_else(|error| {
            warn(&format!("{error}; convolutions are measured again"));
            None
        });
        Table { path, content: content.unwrap_or_else(|| Content { of, seconds: BTreeMap::new() }) }
    }

    /// The times of exactly these candidates, the fastest first; none if one is missing.
    pub fn get(&self, key: &str, candidates: &[Candidate]) -> Option<Vec<(Candidate, f64)>> {
        let mut timings: Vec<(Candidate, f64)> = Vec::new();
        for (name, &seconds) in self.content.seconds.get(key)? {
            timings.push((name.parse().ok().filter(|candidate| candidates.contains(candidate))?, seconds));
        }
        timings.sort_by(|a, b| a.1.total_cmp(&b.1));
        (timings.len() == candidates.len()).then_some(timings)
    }

    /// Remembers times. Where they cannot be written they are forgotten when the program ends, and a warning says so.
    pub fn insert(&mut self, key: &str, timings: &[(Candidate, f64)]) {
        let timings = timings.iter().map(|(candidate, seconds)| (candidate.to_string(), *seconds)).collect();
        self.content.seconds.insert(key.to_owned(), timings);
        if let Some(path) = &self.path
            && let Err(error) = self.content.write(path)
        {
            warn(&format!("{error}; what is measured is not kept"));
            self.path = None;
        }
    }
}

impl Content {
    fn read(path: &Path, of: &Identity) -> Result<Option<Content>> {
        let mut text = String::new();
        match File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.at(path, "read")?,
        };
        let damaged = |why: String| Error::format(path, format!("is damaged ({why})"));
        let content: Content = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if content.of != *of {
            return Err(damaged("it is of another device or program".into()));
        }
        let mut times = content.seconds.values().flat_map(|times| times.values());
        if content.seconds.values().any(BTreeMap::is_empty) || times.any(|t| !t.is_finite() || *t <= 0.0) {
            return Err(damaged("it has times that cannot be".into()));
        }
        Ok(Some(content))
    }

    /// Together with what other processes have written meanwhile. The file is whole at any time.
    fn write(&mut self, path: &Path) -> Result<()> {
        if let Ok(Some(other)) = Content::read(path, &self.of) {
            for (key, times) in other.seconds {
                self.seconds.entry(key).or_insert(times);
            }
        }
        let folder = path.parent().expect("a file in a folder");
        fs::create_dir_all(folder).at(folder, "make")?;
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let text = serde_json::to_vec_pretty(self).expect("text and numbers");
        fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path)).at(path, "write")
    }
}

/// Not eprintln, which panics where nobody reads.
fn warn(what: &str) {
    let _ = writeln!(io::stderr(), "warning: {what}");
}
