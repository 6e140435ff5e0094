//! What a run measures about itself.

use serde::{Deserialize, Serialize};

use super::{DiscriminatorLosses, Losses};
use crate::tensor::Tensor;

/// One line of `stats.jsonl`: means over the steps since the line before. What is the discriminator's is null in a DDPM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Steps done.
    pub step: u64,
    /// The epoch of the last of them, counted from 0.
    pub epoch: u64,
    pub loss_d_real: Option<f64>,
    pub loss_d_fake: Option<f64>,
    /// Over the steps that had it; null if none had.
    pub loss_r1: Option<f64>,
    /// Of the discriminator of x_0; not there without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_x0: Option<f64>,
    /// Of a DDPM, the error of the predicted noise.
    pub loss_g: f64,
    pub lr_g: f64,
    pub lr_d: Option<f64>,
    pub images_per_s: f64,
    /// Spent on the run so far.
    pub seconds: f64,
    /// The most memory that the process had at once so far; null where the system does not tell.
    pub peak_memory_mib: Option<f64>,
}

/// Sums of the losses over an interval.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// Pictures seen by this process.
    pub images: u64,
    steps: u64,
    real: f64,
    fake: f64,
    r1: f64,
    r1_steps: u64,
    x0: f64,
    generator: f64,
}

/// The mean losses of an interval; 0 where no step had one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanLosses {
    pub real: f64,
    pub fake: f64,
    pub r1: Option<f64>,
    pub x0: f64,
    pub generator: f64,
}

impl Interval {
    pub fn add(&mut self, losses: &Losses, images: usize) {
        self.steps += 1;
        self.images += images as u64;
        if let Some(DiscriminatorLosses { real, fake, r1, x0 }) = losses.discriminator {
            self.real += real;
            self.fake += fake;
            self.r1 += r1.unwrap_or(0.0);
            self.r1_steps += u64::from(r1.is_some());
            self.x0 += x0.unwrap_or(0.0);
        }
        self.generator += losses.generator;
    }

    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// The sums as they are saved.
    pub fn to_tensor(&self) -> Tensor {
        let Interval { steps, real, fake, r1, r1_steps, x0, generator, .. } = *self;
        let sums = [steps as f64, real, fake, r1, r1_steps as f64, generator, x0];
        Tensor::from_f64(&sums, [sums.len()])
    }

    /// `None` if these are no such sums.
    pub fn from_tensor(sums: &Tensor) -> Option<Interval> {
        // The last one came later than the others.
        let (steps, real, fake, r1, r1_steps, generator, x0) = match sums.to_f64()[..] {
            [steps, real, fake, r1, r1_steps, generator] => (steps, real, fake, r1, r1_steps, generator, 0.0),
            [steps, real, fake, r1, r1_steps, generator, x0] => (steps, real, fake, r1, r1_steps, generator, x0),
            _ => return None,
        };
        Some(Interval { images: 0, steps: steps as u64, real, fake, r1, r1_steps: r1_steps as u64, x0, generator })
    }

    pub fn means(&self) -> MeanLosses {
        let n = self.steps as f64;
        let r1 = (self.r1_steps > 0).then(|| self.r1 / self.r1_steps as f64);
        MeanLosses { real: self.real / n, fake: self.fake / n, r1, x0: self.x0 / n, generator: self.generator / n }
    }
}

/// The largest resident set of this process so far, in MiB, as Linux counts it.
pub fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
