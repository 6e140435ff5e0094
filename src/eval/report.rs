//! What an evaluation found, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::data::Split;
use crate::diffusion::SamplerKind;
use crate::metrics::{KernelDistance, Neighbours};

/// The metrics of some pictures, with all that they depend on. What is undefined or was not asked for is not there.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Evaluation {
    /// The run, checkpoint, folder or file that the pictures are from.
    pub subject: String,
    /// Training steps behind the generator, and whether its parameters are averaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub averaged: Option<bool>,
    /// How a DDPM drew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<SamplerKind>,
    /// What the generator draws from, and the subsets of KID.
    pub seed: u64,
    /// Pictures or points that were judged.
    pub count: usize,
    /// Whether they went through JPEG first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub via_jpeg: bool,
    /// The data set, or the file of its statistics, and how many pictures of it were judged.
    pub data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_count: Option<usize>,
    /// Whose features and classes these are; points have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor: Option<String>,
    /// Numbers in a picture's features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
    /// Pictures of the data set, and of those that were judged, that KID, precision, recall, density and coverage compare
    /// each with each: 10,000 at most, evenly spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<[usize; 2]>,
    /// The Frechet distance of the features. Of our classifier's features it is no FID in the sense of the literature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fid: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid_std: Option<f64>,
    /// Pictures in each of KID's 100 subsets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid_subset: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score_std: Option<f64>,
    /// If the extractor knows the data set's classes.
    #[serde(flatten)]
    pub labels: Option<Labels>,
    /// The same of as many pictures of the data set: what a perfect generator would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_data: Option<Labels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// What to keep in mind with these numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What the classes of pictures tell, or the places of points.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Labels {
    /// Modes that were found, of how many: a mode is a class of every channel, or a component of a mixture.
    pub modes: usize,
    pub modes_total: usize,
    /// KL(modes | uniform), in nats.
    pub kl: f64,
    /// Pictures a class; of grey pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<u64>>,
    /// The share of pictures whose class is more probable than 0.95; of colour, of channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confident: Option<f64>,
    /// The share of points within three standard deviations of a mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_quality: Option<f64>,
}

/// How long it took to draw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sampling {
    /// Network evaluations a picture.
    pub nfe: usize,
    pub batch: usize,
    /// The median of the batches after the first.
    pub seconds_per_batch: f64,
    pub batches: usize,
    pub images_per_s: f64,
    pub device: String,
    pub threads: usize,
}

/// What pictures were compared with, as [`Evaluation::data`] has it.
pub(super) fn name_of_data(name: &str, split: Split) -> String {
    match split {
        Split::Train => format!("data set {name}"),
        Split::Test => format!("test set of {name}"),
    }
}

impl Evaluation {
    pub(super) fn set_kernel_distance(&mut self, kid: KernelDistance) {
        (self.kid, self.kid_std, self.kid_subset) = (Some(kid.mean), Some(kid.deviation), Some(kid.size));
    }

    pub(super) fn set_neighbours(&mut self, found: Neighbours) {
        (self.precision, self.recall) = (Some(found.precision), Some(found.recall));
        (self.density, self.coverage) = (Some(found.density), Some(found.coverage));
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let step = self.step.map_or(String::new(), |step| format!(" after {step} steps"));
        let parameters = match self.averaged {
            Some(true) => ", averaged parameters",
            Some(false) => ", raw parameters",
            None => "",
        };
        let sampler = self.sampler.map_or(String::new(), |sampler| format!(", {sampler} sampling"));
        let (what, drawn) = if self.extractor.is_some() { ("pictures", "images") } else { ("points", "points") };
        let jpeg = if self.via_jpeg { " through JPEG" } else { "" };
        writeln!(f, "{}{step}{parameters}{sampler}: {} {what}{jpeg}, seed {}", self.subject, self.count, self.seed)?;
        let count = self.data_count.map_or(String::new(), |count| format!(" ({count} {what})"));
        writeln!(f, "against {}{count}", self.data)?;
        if let (Some(extractor), Some(dim)) = (&self.extractor, self.dim) {
            writeln!(f, "by {extractor}, {dim} features")?;
        }
        if let Some([data, own]) = self.compared
            && (data < self.data_count.unwrap_or(data) || own < self.count)
        {
            writeln!(f, "KID to coverage: of {own} {what} and of {data} of the data, evenly spread")?;
        }
        let mut row = |name: &str, value: Option<f64>, note: String| match value {
            Some(value) => writeln!(f, "  {name:<20} {value:>10.4}{note}"),
            None => Ok(()),
        };
        let deviation = |deviation: Option<f64>| deviation.map_or(String::new(), |d| format!(" +- {d:.4}"));
        row("Frechet distance", self.fid, String::new())?;
        row("KID", self.kid, deviation(self.kid_std))?;
        row("precision (k = 3)", self.precision, String::new())?;
        row("recall (k = 3)", self.recall, String::new())?;
        row("density (k = 5)", self.density, String::new())?;
        row("coverage (k = 5)", self.coverage, String::new())?;
        row("Inception Score", self.inception_score, deviation(self.inception_score_std))?;
        let data = |of: fn(&Labels) -> Option<f64>| {
            self.of_data.as_ref().and_then(of).map_or(String::new(), |value| format!("   data {value:.4}"))
        };
        if let Some(Labels { confident, high_quality, kl, modes, modes_total, .. }) = &self.labels {
            row("confident", *confident, data(|labels| labels.confident))?;
            row("high quality", *high_quality, data(|labels| labels.high_quality))?;
            row("KL of modes", Some(*kl), data(|labels| Some(labels.kl)))?;
            let of_data = self.of_data.as_ref().map_or(String::new(), |labels| format!("   data {}", labels.modes));
            writeln!(f, "  {:<20} {:>10}{of_data}", "modes", format!("{modes}/{modes_total}"))?;
        }
        for (name, labels) in [("classes", &self.labels), ("classes of data", &self.of_data)] {
            if let Some(classes) = labels.as_ref().and_then(|labels| labels.classes.as_ref()) {
                let list: Vec<String> = classes.iter().map(u64::to_string).collect();
                writeln!(f, "  {name:<20} {}", list.join(" "))?;
            }
        }
        if let Some(Sampling { nfe, batch, seconds_per_batch, batches, images_per_s, device, threads }) = &self.sampling
        {
            writeln!(
                f,
                "  {:<20} {nfe} NFE, {seconds_per_batch:.3} s a batch of {batch} (median of {batches}), \
                 {images_per_s:.1} {drawn}/s on {device}, {threads} threads",
                "sampling"
            )?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "  warning: {warning}"))
    }
}
