//! What `metrics.jsonl` tells: a line an evaluation.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An evaluation, with all that its numbers depend on. Keys that older or newer programs write do no harm.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    pub step: Option<u64>,
    pub averaged: Option<bool>,
    /// How a DDPM drew.
    pub sampler: Option<String>,
    /// Pictures that were judged.
    pub count: Option<u64>,
    /// Whether they went through JPEG before.
    #[serde(default)]
    pub via_jpeg: bool,
    /// What they were compared with.
    pub data: Option<String>,
    /// Whose features they are; points have none.
    pub extractor: Option<String>,
    pub sampling: Option<Sampling>,
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The metrics.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// How it was drawn, and how long that took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sampling {
    pub nfe: Option<u64>,
    pub batch: Option<f64>,
    pub seconds_per_batch: Option<f64>,
    pub images_per_s: Option<f64>,
    pub device: Option<String>,
    pub threads: Option<u64>,
}

/// A number that an evaluation may have.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub key: &'static str,
    pub name: &'static str,
}

const fn metric(key: &'static str, name: &'static str) -> Metric {
    Metric { key, name }
}

/// The metrics in the order in which they are shown.
pub const METRICS: [Metric; 11] = [
    metric("fid", "Frechet distance"),
    metric("kid", "KID"),
    metric("inception_score", "Inception Score"),
    metric("precision", "precision"),
    metric("recall", "recall"),
    metric("density", "density"),
    metric("coverage", "coverage"),
    metric("modes", "modes"),
    metric("kl", "KL of modes"),
    metric("confident", "confident share"),
    metric("high_quality", "high-quality share"),
];

impl Measured {
    /// The value of a metric, if it is there and finite.
    pub fn value(&self, key: &str) -> Option<f64> {
        self.rest.get(key)?.as_f64().filter(|value| value.is_finite())
    }

    /// The value as it is shown: of modes with how many there are, with its deviation where there is one, and beside what
    /// as many samples of the data would get.
    pub fn shown(&self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        let of_data = self.rest.get("of_data").and_then(|of_data| of_data.get(key)?.as_f64());
        let shown = match (self.value(&format!("{key}_total")), self.value(&format!("{key}_std"))) {
            (Some(total), _) => format!("{value} of {total}"),
            (None, Some(deviation)) => format!("{} ± {}", number(value), number(deviation)),
            (None, None) => number(value),
        };
        let whole = |value: f64| if key == "modes" { value.to_string() } else { number(value) };
        Some(of_data.map_or(shown.clone(), |value| format!("{shown} (data {})", whole(value))))
    }

    /// What numbers must share to be put side by side.
    pub fn ruler(&self) -> Ruler {
        let (extractor, mut data) = (self.extractor.clone(), self.data.clone().unwrap_or_default());
        // A distance depends on how many pictures of the data it is to. Points are beside as many of the data.
        if let (Some(_), Some(count)) = (&extractor, self.value("data_count")) {
            data += &format!(" ({} pictures)", thousands(count as u128));
        }
        Ruler { extractor, via_jpeg: self.via_jpeg, data }
    }

    pub fn nfe(&self) -> Option<u64> {
        self.sampling.as_ref()?.nfe
    }

    /// Seconds for 100 pictures.
    pub fn seconds_per_100(&self) -> Option<f64> {
        let Sampling { batch, seconds_per_batch, .. } = self.sampling.as_ref()?;
        let seconds = (*seconds_per_batch)? * 100.0 / (*batch)?;
        (seconds.is_finite() && seconds > 0.0).then_some(seconds)
    }

    /// How the pictures were drawn: numbers of another way are of another curve's point.
    fn way(&self) -> (Option<u64>, Option<bool>, Option<&str>) {
        (self.nfe(), self.averaged, self.sampler.as_deref())
    }

    /// What tells one evaluation of a run from another in a table's head: the sampler and its steps, raw parameters.
    pub fn label(&self) -> String {
        let (nfe, averaged, sampler) = self.way();
        let parts = [
            sampler.map(str::to_owned),
            nfe.map(|nfe| format!("{nfe} NFE")),
            (averaged == Some(false)).then(|| "raw parameters".into()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// What is measured with: distances by other features, or to other data, are other numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruler {
    pub extractor: Option<String>,
    pub via_jpeg: bool,
    pub data: String,
}

impl Ruler {
    /// What the Frechet distance is called: FID where the features are those of Inception, not with unknown weights, on
    /// which that is defined.
    pub fn distance(&self) -> &'static str {
        match &self.extractor {
            Some(name) if name.starts_with("Inception") && !name.contains("unknown weights") => "FID",
            _ => "Frechet distance",
        }
    }

    /// Whose features they are, in short.
    pub fn by(&self) -> Option<String> {
        let name = self.extractor.as_ref()?.split(',').next()?;
        Some(format!("by {name}{}", if self.via_jpeg { " through JPEG" } else { "" }))
    }

    /// For a heading.
    pub fn heading(&self) -> String {
        format!("Against {}{}", self.data, self.by().map_or(String::new(), |by| format!(", {by}")))
    }

    pub fn describe(&self) -> String {
        let by = self.extractor.as_ref().map_or(String::new(), |extractor| format!(", by {extractor}"));
        format!("Against {}{by}{}", self.data, if self.via_jpeg { ", through JPEG" } else { "" })
    }
}

/// Of evaluations that differ in nothing but the step, the one after the most steps, and of those the last.
pub fn newest_of_each_kind(all: Vec<Measured>) -> Vec<Measured> {
    let mut kept: Vec<Measured> = Vec::new();
    for one in all {
        match kept.iter_mut().find(|other| other.ruler() == one.ruler() && other.way() == one.way()) {
            Some(other) if other.step <= one.step => *other = one,
            Some(_) => {}
            None => kept.push(one),
        }
    }
    kept
}

/// Four digits that count.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        1e5.. => format!("{value:.3e}"),
        1e3.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        1.0.. => format!("{value:.3}"),
        0.001.. => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

/// Seconds as people say them.
pub fn duration(seconds: f64) -> String {
    match seconds {
        0.0..0.0995 => format!("{} s", number(seconds)),
        0.0995..9.95 => format!("{seconds:.2} s"),
        9.95..99.5 => format!("{seconds:.1} s"),
        99.5..6000.0 => format!("{:.1} min", seconds / 60.0),
        6000.0.. => format!("{:.1} h", seconds / 3600.0),
        _ => "unknown".into(),
    }
}

/// Large counts with a space every three digits.
pub fn thousands(count: u128) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).expect("digits")).collect();
    groups.join("\u{202f}")
}
