//! The configuration that a command line asks for: a start, a file, `--set`, flags, the later over the earlier.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::options::Options;
use super::published::PublishedOptions;
use crate::cli::network::variant;
use crate::cli::switches::TrainingSwitches;
use crate::diffusion::Method;
use crate::tensor::Device;
use crate::train::{self, Footprint, Layer, PRESETS, TrainConfig};

#[derive(Args)]
pub struct ConfigArgs {
    /// A TOML file whose keys replace the preset's: one of yours, or a run's config.toml or folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Replace one key, over the preset and the file: --set generator.nz=64
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    options: Options,
    /// What is trained: ddgan, ddpm, the diffusion model that it is compared with, or one_shot, a GAN without steps
    #[arg(long, help_heading = "Training", value_name = "NAME", value_parser = variant::<Method>, display_order = 0)]
    method: Option<Method>,
    #[command(flatten)]
    switches: TrainingSwitches,
    #[command(flatten)]
    published: PublishedOptions,
}

/// What a configuration is made from, the flags aside.
pub struct Start {
    /// A preset, the published defaults, or the configuration of a run that goes on.
    base: TrainConfig,
    layers: Vec<Layer>,
    /// Whether `base` is the published defaults.
    as_published: bool,
    /// Where it all comes from, for people to read.
    origin: String,
    /// What a run without a folder's name of its own is called.
    pub name: String,
    /// The folder of `--exp`.
    pub exp_folder: Option<PathBuf>,
}

impl Start {
    /// Starts from the configuration of a run that goes on.
    pub fn resume(&mut self, config: &TrainConfig) {
        (self.base, self.as_published) = (config.clone(), false);
        self.origin = "the run to resume".into();
        self.name = train::short_name(&config.dataset).to_owned();
    }
}

impl ConfigArgs {
    /// Errors: a file or an assignment that is wrong.
    pub fn start(&self, preset: Option<&str>) -> anyhow::Result<Start> {
        let mut layers = Vec::new();
        let file = self.config.as_ref().map(|path| if path.is_dir() { path.join("config.toml") } else { path.clone() });
        if let Some(file) = &file {
            layers.push(Layer::read(file)?);
        }
        for assignment in &self.set {
            layers.push(Layer::assignment(assignment).map_err(|e| anyhow!("--set {e}"))?);
        }
        // The method decides where the other keys begin, so that it cannot wait for the other flags.
        layers.extend(self.method.map(Layer::of_method));
        let by_flag = self.options.dataset.as_deref();
        let by_layer = layers.iter().rev().find_map(Layer::dataset);
        let published = by_flag.filter(|_| preset.is_none() && file.is_none()).and_then(train::published_defaults);
        let as_published = published.is_some();
        let (base, mut origin) = match (published, preset, by_flag.or(by_layer)) {
            (Some(base), ..) => {
                let origin = format!("the published program's defaults for {}", base.dataset);
                (base, origin)
            }
            (None, None, Some(dataset)) => train::preset_for(dataset),
            (None, preset, _) => {
                let name = preset.unwrap_or(PRESETS[0].0);
                (train::preset(name)?, format!("preset {name}"))
            }
        };
        let dataset = by_flag.or(by_layer).unwrap_or(&base.dataset);
        let name = preset.unwrap_or(train::short_name(dataset)).to_owned();
        let exp_folder = self.published.exp.as_ref().map(|exp| train::published_folder(dataset, exp));
        if let Some(file) = file {
            origin += &format!(", {}", file.display());
        }
        self.set.iter().for_each(|assignment| origin += &format!(", {assignment}"));
        self.method.iter().for_each(|method| origin += &format!(", method {method}"));
        Ok(Start { base, layers, as_published, origin, name, exp_folder })
    }

    /// The configuration, and where it comes from. Says what flags do that may not be meant.
    ///
    /// Errors: flags that this program cannot follow.
    pub fn finish(&self, start: &Start) -> anyhow::Result<(TrainConfig, String)> {
        let below = start.base.overlaid(&start.layers)?;
        let mut config = below.clone();
        self.options.apply(&mut config);
        self.switches.apply(&mut config);
        self.published.apply(&mut config, start.as_published || self.options.batch_size.is_some())?;
        let warnings = self.switches.warnings.iter().chain(&self.options.network.switches.warnings);
        warnings.for_each(|warning| eprintln!("warning: {warning}"));
        let flags = if config == below { "" } else { ", flags" };
        Ok((config, format!("{}{flags}", start.origin)))
    }
}

/// A file for `--config` with what there is to say about it.
///
/// Errors: a configuration that cannot work.
pub fn describe(config: &TrainConfig, origin: &str, folder: &str, device: &Device) -> anyhow::Result<String> {
    config.validate()?;
    let footprint = Footprint::of(config)?;
    let Footprint { generator, discriminator, .. } = footprint;
    let memory = footprint.memory();
    // A comment ends with its line.
    let [origin, folder] = [origin, folder].map(|text| text.replace(char::is_control, " "));
    let mut text = format!(
        "# From: {origin}\n\
         # Folder: {folder}\n\
         # Parameters: generator {generator}, discriminator {discriminator}\n\
         # Memory of a training step, estimated: {memory}\n"
    );
    if let Err(too_much) = footprint.check(config, device) {
        text += &format!("# {too_much}\n");
    }
    Ok(text + "\n" + &config.to_toml()?)
}
