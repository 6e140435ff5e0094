//! Trainings on disk: safetensors files with the networks' parameters under their published names and layouts, each
//! group behind a prefix, and with what else it takes to continue.

pub mod pth;
pub mod published;
pub mod safetensors;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, IoContext, Result};
use crate::nn::Param;
use crate::tensor::Tensor;
use published::{from_published, published_shape};
use safetensors::Reader;

/// The prefixes of the groups of tensors.
pub const GENERATOR: &str = "g.param.";
pub const GENERATOR_EMA: &str = "g.ema.";
pub const GENERATOR_ADAM: [&str; 2] = ["g.adam.m.", "g.adam.v."];
pub const DISCRIMINATOR: &str = "d.param.";
pub const DISCRIMINATOR_ADAM: [&str; 2] = ["d.adam.m.", "d.adam.v."];
/// The discriminator of x_0, in a training that has one.
pub const X0_DISCRIMINATOR: &str = "d0.param.";
pub const X0_DISCRIMINATOR_ADAM: [&str; 2] = ["d0.adam.m.", "d0.adam.v."];
/// The sums of the losses since the last line of statistics.
pub const INTERVAL: &str = "stats.interval";

/// The folder of checkpoints in a run's folder.
pub const FOLDER: &str = "checkpoints";
const EXTENSION: &str = "safetensors";

/// What a checkpoint tells beside its tensors, with the configuration `C` of the training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header<C> {
    /// Raised when older programs could no longer read it.
    pub format: u32,
    /// Steps done.
    pub step: u64,
    /// The epoch of the next step, counted from 0.
    pub epoch: u64,
    pub seed: u64,
    /// The size of the data set, on which the order of its pictures depends; not there if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<u64>,
    /// Updates that the optimizers of generator and discriminator have made, where that is not one a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<[u64; 2]>,
    pub config: C,
}

/// The newest format, which this program writes.
pub const FORMAT: u32 = 1;
/// The header's entry in the file's string map.
const KEY: &str = "ddgan";

impl<C: Serialize> Header<C> {
    /// Writes the header and the tensors, named with their prefixes and laid out as in memory, atomically.
    pub fn write(&self, path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
        let header = serde_json::to_string(self).expect("a configuration is numbers, strings and lists");
        safetensors::write(path, (KEY, header), tensors)
    }
}

impl<C: DeserializeOwned> Header<C> {
    /// Whether a file has a header of ours.
    pub fn is_in(reader: &Reader) -> bool {
        reader.metadata(KEY).is_some()
    }

    /// Errors: a safetensors file that is no checkpoint of ours, or of a later version.
    pub fn read(reader: &Reader) -> Result<Header<C>> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let bad = |what: String| Error::format(reader.path(), what);
        let Some(text) = reader.metadata(KEY) else {
            return Err(bad(format!("is no checkpoint of a training: its header has no entry `{KEY}`")));
        };
        let parse = |e: serde_json::Error| bad(format!("its entry `{KEY}`: {e}"));
        let Version { format } = serde_json::from_str(text).map_err(parse)?;
        if format > FORMAT {
            // Not a fault of the file.
            let path = reader.path().display();
            return Err(Error::config(format!(
                "{path} has format {format}, this program knows up to {FORMAT}; use a newer version of it"
            )));
        }
        serde_json::from_str(text).map_err(parse)
    }
}

/// The keys in which two configurations differ, each with both values.
pub fn differences<C: Serialize>(from: &C, to: &C) -> Vec<[String; 3]> {
    let (from, to) = (leaves(from), leaves(to));
    let keys = from.keys().chain(to.keys().filter(|key| !from.contains_key(*key)));
    let of = |values: &BTreeMap<String, String>, key: &str| values.get(key).cloned().unwrap_or("none".into());
    keys.filter(|key| from.get(*key) != to.get(*key)).map(|key| [key.clone(), of(&from, key), of(&to, key)]).collect()
}

/// Every value of a configuration under its key, `generator.nz` and so on.
fn leaves(config: &impl Serialize) -> BTreeMap<String, String> {
    fn collect(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    collect(&key, value, leaves);
                }
            }
            value => drop(leaves.insert(prefix.to_string(), value.to_string())),
        }
    }
    let mut all = BTreeMap::new();
    collect("", &serde_json::to_value(config).expect("numbers, strings and lists"), &mut all);
    all
}

/// Parameters as entries of a checkpoint.
pub fn entries(prefix: &str, params: &[Param]) -> impl Iterator<Item = (String, Tensor)> {
    params.iter().map(move |p| (format!("{prefix}{}", p.name()), p.value()))
}

/// Whether a checkpoint has the group.
pub fn holds(reader: &Reader, prefix: &str) -> bool {
    reader.names().iter().any(|name| name.starts_with(prefix))
}

/// Named tensors in a file, in their published layout.
pub trait Tensors {
    fn path(&self) -> &Path;
    /// The names of all tensors, sorted.
    fn names(&self) -> BTreeSet<String>;
    fn shape(&self, name: &str) -> Option<&[usize]>;
    /// Whether it holds floating-point numbers.
    fn is_float(&self, name: &str) -> bool;
    /// Errors: there is no such tensor, the disk's.
    fn read(&mut self, name: &str) -> Result<Tensor>;
}

/// Sets every parameter to what the group holds for it.
///
/// Errors: tensors that are missing, that no parameter asks for, or of another shape or type; then nothing is set.
pub fn load(reader: &mut impl Tensors, prefix: &str, params: &[Param]) -> Result<()> {
    let values = read(reader, prefix, params)?;
    params.iter().zip(values).try_for_each(|(param, value)| param.set(value))
}

/// The group's tensors for each parameter, of its layout, type and device. Errors as [`load`].
pub fn read(reader: &mut impl Tensors, prefix: &str, params: &[Param]) -> Result<Vec<Tensor>> {
    check(reader, prefix, params)?;
    let value = |param: &Param| {
        let published = reader.read(&format!("{prefix}{}", param.name()))?;
        let held = param.value();
        from_published(param.name(), &published).to(held.dtype(), &held.device())
    };
    params.iter().map(value).collect()
}

/// Whether the group is what the parameters need. Errors as [`load`].
pub fn check(reader: &impl Tensors, prefix: &str, params: &[Param]) -> Result<()> {
    let held: BTreeSet<String> = reader.names().into_iter().filter(|name| name.starts_with(prefix)).collect();
    let wanted: BTreeSet<String> = params.iter().map(|p| format!("{prefix}{}", p.name())).collect();
    let mut faults = Vec::new();
    let mut list = |what: &str, names: Vec<String>| {
        const SHOWN: usize = 8;
        if !names.is_empty() {
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            faults.push(format!("{} {what}: {}{more}", names.len(), names[..names.len().min(SHOWN)].join(", ")));
        }
    };
    list("missing", wanted.difference(&held).cloned().collect());
    list("unexpected", held.difference(&wanted).cloned().collect());
    let misfit = |p: &Param| {
        let name = format!("{prefix}{}", p.name());
        let (got, want) = (reader.shape(&name)?, published_shape(p.name(), p.shape()));
        (got != want).then(|| format!("{name} is {got:?}, expected {want:?}"))
    };
    list("of another shape", params.iter().filter_map(misfit).collect());
    list("no floating-point numbers", held.iter().filter(|name| !reader.is_float(name)).cloned().collect());
    if faults.is_empty() {
        return Ok(());
    }
    let what = format!("its tensors {prefix}* do not fit the network of its configuration; {}", faults.join("; "));
    Err(Error::format(reader.path(), what))
}

/// The file of the checkpoint after `step` steps in a run's folder.
pub fn path_of(run: &Path, step: u64) -> PathBuf {
    run.join(FOLDER).join(format!("step-{step:06}.{EXTENSION}"))
}

/// The newest checkpoint in a run's folder.
///
/// Errors: there is none.
pub fn newest(run: &Path) -> Result<PathBuf> {
    let newest = all(run)?.pop();
    newest.map(|(_, path)| path).ok_or_else(|| {
        let run = run.display();
        Error::NotFound(format!(
            "{run} has no {FOLDER}/step-*.{EXTENSION}: it is no run's folder, or nothing was saved yet"
        ))
    })
}

/// Removes all checkpoints but the `keep` newest ones and those whose step is `major`.
pub fn prune(run: &Path, keep: usize, major: impl Fn(u64) -> bool) -> Result<()> {
    let all = all(run)?;
    for (_, path) in all[..all.len().saturating_sub(keep)].iter().filter(|(step, _)| !major(*step)) {
        match fs::remove_file(path) {
            // Somebody was tidying up.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            removed => removed.at(path, "remove")?,
        }
    }
    Ok(())
}

/// Gives a damaged checkpoint a name by which nobody takes it for a whole one; the new name.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    let aside = path.with_extension(format!("{EXTENSION}.damaged"));
    fs::rename(path, &aside).at(path, "rename")?;
    Ok(aside)
}

/// The checkpoints in a run's folder by their steps, the oldest first.
pub fn all(run: &Path) -> Result<Vec<(u64, PathBuf)>> {
    by_steps(&run.join(FOLDER), EXTENSION)
}

/// The files `step-N.<extension>` of a folder, by their steps; none if there is no such folder.
pub fn by_steps(folder: &Path, extension: &str) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries.at(folder, "read")?,
    };
    for entry in entries {
        let path = entry.at(folder, "read")?.path();
        let step = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("step-")?.strip_suffix(extension)?.strip_suffix('.')?.parse().ok());
        found.extend(step.map(|step| (step, path)));
    }
    found.sort();
    Ok(found)
}
