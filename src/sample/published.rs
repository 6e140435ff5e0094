//! What is known of a generator whose file holds parameters alone.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::checkpoint::Tensors;
use crate::checkpoint::pth::Pth;
use crate::diffusion::{Method, Prediction, ScheduleConfig};
use crate::error::{Error, Result};
use crate::models::GeneratorConfig;

/// What sampling needs to know of a training's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    #[serde(default)]
    pub method: Method,
    #[serde(default)]
    pub prediction: Prediction,
    #[serde(default)]
    pub dataset: String,
    pub schedule: ScheduleConfig,
    pub generator: GeneratorConfig,
    /// Of a file with one generator alone: whether its parameters are averaged ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub averaged: bool,
}

/// Options of a model from elsewhere than its parameters' names and shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub model: Model,
    /// The size of the pictures, if it is more than a default.
    pub image_size: Option<usize>,
    /// Where this is from, in words.
    pub origin: String,
}

impl Known {
    /// The published defaults.
    pub fn defaults() -> Known {
        let (schedule, generator) = (ScheduleConfig::default(), GeneratorConfig::default());
        // What `netG_N.pth` holds, unless the training kept no average.
        let (method, prediction, dataset) = (Method::Ddgan, Prediction::X0, String::new());
        let model = Model { method, prediction, dataset, schedule, generator, averaged: true };
        Known { model, image_size: None, origin: "the published defaults".into() }
    }

    /// The options in a file if it is a `content.pth`, or in the `content.pth` beside it, else the published defaults.
    ///
    /// Errors: a `content.pth` that cannot be read.
    pub fn of(path: &Path) -> Result<Known> {
        for candidate in [path, &path.with_file_name("content.pth")] {
            if candidate.is_file()
                && Pth::begins(candidate)?
                && let Some(content) = Pth::open(candidate)?.content()?
            {
                return Known::from_options(&content.args, candidate);
            }
        }
        Ok(Known::defaults())
    }

    /// From the options of the published program, which `path` holds.
    ///
    /// Errors: an option of another type than it should have.
    pub fn from_options(options: &Map<String, Json>, path: &Path) -> Result<Known> {
        let Model { method, prediction, schedule, generator, averaged, .. } = Known::defaults().model;
        Ok(Known {
            model: Model {
                method,
                prediction,
                dataset: options.get("dataset").and_then(Json::as_str).unwrap_or_default().into(),
                schedule: overlay(&schedule, options, path)?,
                generator: overlay(&generator, options, path)?,
                averaged: options.get("use_ema").and_then(Json::as_bool).unwrap_or(averaged),
            },
            image_size: options.get("image_size").and_then(Json::as_u64).and_then(|size| usize::try_from(size).ok()),
            origin: path.display().to_string(),
        })
    }

    /// The model with these parameters. `set` sets what the user asks for, which goes before all else.
    ///
    /// Errors: parameters that do not fit the options, or follow from none.
    pub fn resolve(&self, tensors: &impl Tensors, set: &dyn Fn(&mut Model)) -> Result<Model> {
        let mut base = self.model.clone();
        base.generator.image_size = 0; // to see whether it is set
        set(&mut base);
        let image_size = Some(base.generator.image_size).filter(|&size| size > 0).or(self.image_size);
        base.generator.image_size = self.model.generator.image_size;
        let mut model = Model { generator: GeneratorConfig::infer(tensors, &base.generator, image_size)?, ..base };
        set(&mut model);
        if model.generator.fits(tensors) {
            return Ok(model);
        }
        let what = "its tensors are not those of a generator with the options that are given; leave out options that \
                    follow from names and shapes (widths, blocks, levels), and check the size of the pictures";
        Err(Error::format(tensors.path(), what))
    }

    /// What a model has that its parameters do not tell, and where it is from.
    pub fn describe(&self, model: &Model, tensors: &impl Tensors) -> String {
        let Model { schedule, generator, .. } = model;
        let GeneratorConfig { image_size, fir, skip_rescale, centered, not_use_tanh, .. } = *generator;
        let mut options = format!(
            "image_size {image_size}, {schedule}, skip_rescale {skip_rescale}, centered {centered}, not_use_tanh \
             {not_use_tanh}"
        );
        if (GeneratorConfig { fir: !fir, ..generator.clone() }).fits(tensors) {
            options += &format!(", fir {fir}");
        }
        let path = tensors.path().display();
        format!("{path}: parameters do not tell all options, these are from {}: {options}", self.origin)
    }
}

/// A configuration with the values that options of the same names have.
///
/// Errors: a value of another type.
pub fn overlay<C: Serialize + DeserializeOwned>(base: &C, options: &Map<String, Json>, path: &Path) -> Result<C> {
    let mut keys = serde_json::to_value(base).expect("a configuration is numbers, strings and lists");
    for (key, value) in keys.as_object_mut().expect("a configuration has keys") {
        if let Some(option) = options.get(key) {
            *value = option.clone();
        }
    }
    serde_json::from_value(keys).map_err(|e| Error::format(path, format!("its options: {e}")))
}
