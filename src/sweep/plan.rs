//! The file of a sweep.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

use crate::error::{Error, IoContext, Result};
use crate::tensor::Device;
use crate::train::{self, Footprint, Layer, PRESETS, TrainConfig};

/// What is trained, in this order, and how it is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The folder of the runs' folders.
    pub outdir: PathBuf,
    /// Each is the flags of one `ddgan eval` of every run.
    pub eval: Vec<String>,
    pub runs: Vec<Planned>,
}

/// A run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub name: String,
    pub folder: PathBuf,
    pub config: TrainConfig,
    /// Ends the training early.
    pub max_steps: Option<u64>,
    pub max_minutes: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    outdir: Option<PathBuf>,
    #[serde(default)]
    eval: Vec<String>,
    /// What all runs start from.
    #[serde(default)]
    base: Entry,
    #[serde(default)]
    run: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    preset: Option<String>,
    /// Keys of a configuration, as in its file.
    #[serde(default)]
    config: Table,
    /// `key=value` each, over them.
    #[serde(default)]
    set: Vec<String>,
    max_steps: Option<u64>,
    max_minutes: Option<f64>,
}

impl Sweep {
    /// Reads a sweep's file; all of its configurations are looked at before anything is trained.
    ///
    /// Errors: the file's; names that are no names of folders, or given twice; a configuration that cannot work, or does
    /// not fit into the device's memory.
    pub fn read(path: &Path, device: &Device) -> Result<Sweep> {
        let text = fs::read(path).at(path, "read")?;
        let text = str::from_utf8(&text).map_err(|e| Error::format(path, format!("not a text file: {e}")))?;
        let stem = path.file_stem().unwrap_or_default();
        Sweep::parse(text, &Path::new("runs").join(stem), device).map_err(|e| Error::format(path, e.to_string()))
    }

    fn parse(text: &str, default_outdir: &Path, device: &Device) -> Result<Sweep> {
        let File { outdir, eval, base, run } =
            toml::from_str(text).map_err(|e| Error::config(e.to_string().trim_end()))?;
        if base.name.is_some() {
            return Err(Error::config("[base] has no name; the runs have"));
        }
        if run.is_empty() {
            return Err(Error::config("there is no run in it: each begins with a line [[run]] and has a name"));
        }
        let outdir = outdir.unwrap_or(default_outdir.to_path_buf());
        let mut runs: Vec<Planned> = Vec::new();
        for (number, entry) in run.iter().enumerate() {
            let Some(name) = entry.name.as_deref().filter(|name| is_folder_name(name)) else {
                let what = "needs a name of letters, digits, `-`, `_` and `.`: the name of its folder";
                return Err(Error::config(format!("run number {} {what}", number + 1)));
            };
            if runs.iter().any(|other| other.name == name) {
                return Err(Error::config(format!("two runs are called `{name}`")));
            }
            let config = configuration(&base, entry)
                .and_then(|config| Footprint::of(&config)?.check(&config, device).map(|()| config))
                .map_err(|e| Error::config(format!("run `{name}`: {e}")))?;
            let max_minutes = entry.max_minutes.or(base.max_minutes);
            if max_minutes.is_some_and(|minutes| Duration::try_from_secs_f64(60.0 * minutes).is_err()) {
                return Err(Error::config(format!("run `{name}`: max_minutes is no time")));
            }
            runs.push(Planned {
                name: name.into(),
                folder: outdir.join(name),
                config,
                max_steps: entry.max_steps.or(base.max_steps),
                max_minutes,
            });
        }
        Ok(Sweep { outdir, eval, runs })
    }
}

impl Planned {
    pub fn max_time(&self) -> Option<Duration> {
        self.max_minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes))
    }
}

fn is_folder_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 100 && name.chars().all(known) && !name.starts_with('.')
}

/// A preset with the layers of the sweep and then of the run over it.
fn configuration(base: &Entry, run: &Entry) -> Result<TrainConfig> {
    let mut layers = Vec::new();
    for entry in [base, run] {
        let keys = assignments(&entry.config);
        for assignment in keys.iter().chain(&entry.set) {
            layers.push(Layer::assignment(assignment)?);
        }
    }
    let dataset = layers.iter().rev().find_map(Layer::dataset);
    let start = match (run.preset.as_ref().or(base.preset.as_ref()), dataset) {
        (Some(preset), _) => train::preset(preset)?,
        (None, Some(dataset)) => train::preset_for(dataset).0,
        (None, None) => train::preset(PRESETS[0].0)?,
    };
    let config = start.overlaid(&layers)?;
    config.validate()?;
    Ok(config)
}

/// The keys of a table as `key=value`, those of a table in it as `table.key=value`.
fn assignments(table: &Table) -> Vec<String> {
    let leaves = |(key, value): (&String, &Value)| match value {
        Value::Table(inner) => inner.iter().map(|(name, value)| format!("{key}.{name}={value}")).collect(),
        value => vec![format!("{key}={value}")],
    };
    table.iter().flat_map(leaves).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sweep> {
        Sweep::parse(text, Path::new("runs/file"), &Device::Cpu)
    }

    #[test]
    fn runs_start_from_the_base() {
        let text = r#"
            eval = ["--count 100", ""]
            [base]
            preset = "gaussians25"
            set = ["seed=5"]
            max_steps = 10
            [base.config]
            batch_size = 64
            [[run]]
            name = "T1"
            set = ["schedule.num_timesteps=1"]
            max_minutes = 0.5
            [[run]]
            name = "own"
            preset = "digits"
            max_steps = 20
            [run.config]
            resize_filter = "lanczos"
            generator.ch_mult = [1, 2]
            generator.nz = 3
        "#;
        let sweep = parse(text).unwrap();
        assert_eq!((sweep.outdir.as_path(), sweep.eval.len()), (Path::new("runs/file"), 2));
        let [first, second] = &sweep.runs[..] else { panic!("{} runs", sweep.runs.len()) };
        let mut want = TrainConfig { seed: 5, batch_size: 64, ..train::preset("gaussians25").unwrap() };
        want.schedule.num_timesteps = 1;
        assert_eq!((&first.config, first.max_steps), (&want, Some(10)));
        assert_eq!(first.max_time(), Some(Duration::from_secs(30)));
        assert_eq!(first.folder, Path::new("runs/file/T1"));
        assert_eq!((second.config.dataset.as_str(), second.config.seed, second.max_steps), ("digits", 5, Some(20)));
        assert_eq!((second.config.generator.nz, &second.config.generator.ch_mult[..]), (3, &[1, 2][..]));
    }

    #[test]
    fn errors_name_the_run_and_the_key() {
        for (text, words) in [
            ("", &["no run", "[[run]]"][..]),
            ("outdri = 1", &["line 1", "outdri"]),
            ("[[run]]", &["run number 1", "name"]),
            ("[[run]]\nname = \"../a\"", &["run number 1", "name"]),
            ("[[run]]\nname = \"a\"\n[[run]]\nname = \"a\"", &["two runs", "`a`"]),
            ("[[run]]\nname = \"a\"\nset = [\"nz=1\"]", &["run `a`", "`nz=1`", "`generator.nz`?"]),
            ("[[run]]\nname = \"a\"\nconfig.bath_size = 1", &["run `a`", "bath_size", "`batch_size`?"]),
            ("[[run]]\nname = \"a\"\nconfig.batch_size = 0", &["run `a`", "batch_size is 0"]),
            ("[[run]]\nname = \"a\"\npreset = \"b\"", &["run `a`", "no preset `b`"]),
            ("[[run]]\nname = \"a\"\nmax_minutes = -1", &["run `a`", "max_minutes"]),
            (
                "[[run]]\nname = \"a\"\nconfig.batch_size = 1000000\nconfig.generator.image_size = 4096",
                &["run `a`", "memory"],
            ),
            ("[base]\nname = \"a\"\n[[run]]\nname = \"b\"", &["[base]"]),
        ] {
            let said = parse(text).unwrap_err().to_string();
            words.iter().for_each(|word| assert!(said.contains(word), "{text}: no {word} in {said}"));
        }
    }
}
