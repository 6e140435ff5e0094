//! A configuration in layers: what a file or a `key=value` says lies over a preset.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::TrainConfig;
use crate::diffusion::Method;
use crate::error::{Error, IoContext, Result};

/// Some keys of a configuration, each of a type that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer(Table);

impl Layer {
    /// Errors: a file that cannot be read, that is no TOML, has unknown keys or values of another type; with the line.
    pub fn read(path: &Path) -> Result<Layer> {
        let bytes = fs::read(path).at(path, "read")?;
        let text = str::from_utf8(&bytes).map_err(|e| Error::format(path, format!("not a text file: {e}")))?;
        Layer::parse(text).map_err(|e| Error::format(path, e.to_string()))
    }

    /// The same from a file's text.
    pub fn parse(text: &str) -> Result<Layer> {
        TrainConfig::from_toml(text)?;
        Ok(Layer(toml::from_str(text).expect("the same text was a configuration")))
    }

    /// `key=value`, where a key in a table is `generator.nz` and the value is as in a file; a string needs no quotes.
    ///
    /// Errors: no `=`, an unknown key, a value of another type.
    pub fn assignment(text: &str) -> Result<Layer> {
        let describe = |what: String| Error::config(format!("`{text}`: {what}"));
        let Some((key, value)) = text.split_once('=') else {
            return Err(describe("expected key=value, like generator.nz=64".into()));
        };
        let (key, value) = (key.trim(), value.trim());
        let value = match toml::de::ValueDeserializer::parse(value).and_then(Value::deserialize) {
            Ok(value) => value,
            Err(_) => Value::String(value.into()),
        };
        // No key is deeper than a table's.
        let table = match key.split_once('.') {
            Some((table, key)) => Table::from_iter([(table.into(), Table::from_iter([(key.into(), value)]).into())]),
            None => Table::from_iter([(key.into(), value)]),
        };
        TrainConfig::deserialize(table.clone()).map_err(|e| describe(explain(&e)))?;
        Ok(Layer(table))
    }

    /// A layer that names the method alone.
    pub fn of_method(method: Method) -> Layer {
        Layer(Table::from_iter([("method".into(), method.to_string().into())]))
    }

    /// The method, if this layer names one.
    fn method(&self) -> Option<Method> {
        self.0.get("method")?.clone().try_into().ok()
    }

    /// The data set, if this layer names one.
    pub fn dataset(&self) -> Option<&str> {
        self.0.get("dataset")?.as_str()
    }
}

impl TrainConfig {
    /// Errors: text that is no TOML, unknown keys, values of another type; with the line. What is left out has its
    /// default.
    pub fn from_toml(text: &str) -> Result<TrainConfig> {
        toml::from_str(text).map_err(|e| Error::config(explain(&e)))
    }

    /// Errors: a number beyond those of TOML, which [`TrainConfig::validate`] refuses too.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::config(format!("the configuration cannot be written as TOML: {e}")))
    }

    /// This configuration with the keys of `layers` over it, the last on top. Lists are replaced, not joined. Where the
    /// layers make a DDPM of a GAN, they lie over [`TrainConfig::as_ddpm`].
    pub fn overlaid(&self, layers: &[Layer]) -> Result<TrainConfig> {
        // A DDPM begins with other values than a preset has for a GAN.
        let base = match layers.iter().rev().find_map(Layer::method) {
            Some(Method::Ddpm) if self.method == Method::Ddgan => &self.as_ddpm(),
            _ => self,
        };
        let mut table: Table = toml::from_str(&base.to_toml()?).expect("just written");
        layers.iter().for_each(|Layer(layer)| merge(&mut table, layer));
        TrainConfig::deserialize(table).map_err(|e| Error::config(explain(&e)))
    }
}

fn merge(below: &mut Table, layer: &Table) {
    for (key, value) in layer {
        match (below.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(layer)) => merge(below, layer),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

/// An error of the parser in the words of someone who writes a file: which line, and what was probably meant.
fn explain(error: &toml::de::Error) -> String {
    let (shown, message) = (error.to_string(), error.message());
    let mut better = message.to_owned();
    if let Some((name, _)) = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        let keys = keys();
        better = match closest(name, &keys) {
            Some(key) => format!("unknown key `{name}`; did you mean `{key}`?"),
            None => format!("unknown key `{name}`; there are: {}", keys.join(", ")),
        };
    }
    for (serde, ours) in [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list like [1, 2]"),
        ("expected a boolean", "expected true or false"),
    ] {
        better = better.replace(serde, ours);
    }
    // The message comes last, behind the line and the mark below it.
    let at = shown.rfind(message).unwrap_or(0);
    format!("{}{better}{}", &shown[..at], &shown[at + message.len()..]).trim_end().to_owned()
}

/// Every key, those in tables as `table.key`.
fn keys() -> Vec<String> {
    // What a default leaves out is given here.
    let mut config = TrainConfig { data_dir: Some("".into()), flip: Some(true), ..Default::default() };
    config.discriminator.image_size = Some(0);
    let mut keys = Vec::new();
    for (key, value) in Table::try_from(config).expect("small numbers") {
        match value {
            Value::Table(table) => keys.extend(table.keys().map(|inner| format!("{key}.{inner}"))),
            _ => keys.push(key),
        }
    }
    keys
}

/// The key whose last part is most like `name`, if one is at all.
fn closest<'a>(name: &str, keys: &'a [String]) -> Option<&'a str> {
    let likeness = |key: &str| strsim::normalized_damerau_levenshtein(key.rsplit('.').next().unwrap_or(key), name);
    let best = keys.iter().map(|key| (likeness(key), key)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.5).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(result: Result<Layer>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn layers_lie_over_each_other() {
        let file = Layer::parse("batch_size = 7\n[generator]\nnz = 5\nch_mult = [1, 3]").unwrap();
        let set = Layer::assignment("generator.nz = 6").unwrap();
        let config = TrainConfig::default().overlaid(&[file, set]).unwrap();
        let mut want = TrainConfig { batch_size: 7, ..Default::default() };
        want.generator.nz = 6;
        want.generator.ch_mult = vec![1, 3];
        assert_eq!(config, want);
        for (assignment, get) in [
            ("dataset=mnist", (|c| c.dataset == "mnist") as fn(&TrainConfig) -> bool),
            ("dataset=\"a = b\"", |c| c.dataset == "a = b"),
            ("data_dir=/some/where", |c| c.data_dir.as_deref() == Some(Path::new("/some/where"))),
            ("lr_g=1", |c| c.lr_g == 1.0),
            ("generator.ch_mult=[1, 2]", |c| c.generator.ch_mult == [1, 2]),
            ("generator.progressive=output_skip", |c| c.generator.progressive != Default::default()),
            ("discriminator.image_size=64", |c| c.discriminator.image_size == Some(64)),
        ] {
            let config = TrainConfig::default().overlaid(&[Layer::assignment(assignment).unwrap()]).unwrap();
            assert!(get(&config), "{assignment}");
        }
    }

    #[test]
    fn errors_say_where_and_what_was_probably_meant() {
        for (text, parts) in [
            ("seed = 1\nbath_size = 2", ["line 2, column 1", "bath_size = 2\n  | ^^^^^^^^^", "`batch_size`?"]),
            ("nz = 2", ["line 1", "unknown key `nz`", "`generator.nz`?"]),
            ("[generator]\nnum_channel_dae = 1", ["line 2", "num_channel_dae", "`generator.num_channels_dae`?"]),
            ("xyzzy = 2", ["`xyzzy`", "there are", "discriminator.ngf"]),
            ("batch_size = -1", ["line 1", "-1", "a whole number"]),
            ("lr_g = \"high\"", ["high", "expected a number", "^"]),
            ("seed = ", ["line 1", "seed", "^"]),
            ("generator = 3", ["integer `3`", "line 1", "GeneratorConfig"]),
        ] {
            let said = error(Layer::parse(text));
            parts.iter().for_each(|part| assert!(said.contains(part), "{text}: no {part} in {said}"));
        }
        for (text, parts) in [
            ("batch_size", ["`batch_size`", "key=value"]),
            ("nz=3", ["`nz=3`", "did you mean `generator.nz`?"]),
            ("generator.nz=many", ["a whole number", "generator.nz"]),
            ("generator.progressive=skip", ["`skip`", "output_skip"]),
            ("generator.nz.x=3", ["generator.nz.x", "unknown key"]),
            ("seed=1\nlr_g=2", ["seed=1", "a whole number"]),
            ("=3", ["unknown key", ""]),
        ] {
            let said = error(Layer::assignment(text));
            parts.iter().for_each(|part| assert!(said.contains(part), "{text}: no {part} in {said}"));
        }
    }
}
