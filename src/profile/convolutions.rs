//! Who computes the convolutions of a step fastest, shape by shape.

use std::fmt;

use serde::Serialize;

use super::{Part, ProfileOptions, run_part};
use crate::backend::{Contest, Entry};
use crate::error::{Error, Result};
use crate::tensor::Device;
use crate::train::TrainConfig;

/// What our kernels should take at most of cuDNN's time.
const NEAR: f64 = 1.3;

/// What was measured of the convolutions of some parts.
#[derive(Clone, Debug, Serialize)]
pub struct Convolutions {
    pub device: String,
    pub batch: usize,
    /// In the order in which they are first computed.
    pub contests: Vec<Contest>,
}

/// Runs the parts once, on a device that was told to compare ([`crate::backend::Convolver::Compare`]).
///
/// Errors: those of [`super::profile`], and a device that compares nothing.
pub fn convolutions(parts: &[Part], config: &TrainConfig, options: &ProfileOptions) -> Result<Convolutions> {
    let device = &options.device;
    if *device == Device::Cpu {
        return Err(Error::config("convolutions are compared on GPUs alone; see --device"));
    }
    for &part in parts {
        run_part(part, config, &ProfileOptions { runs: 0, ..options.clone() })?;
    }
    let contests = device.contests();
    Ok(Convolutions { device: format!("{device} ({})", device.name()), batch: options.batch, contests })
}

impl fmt::Display for Convolutions {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Convolutions { device, batch, contests } = self;
        writeln!(f, "Convolutions on {device}, batch {batch}: the fastest of our kernels, and of cuDNN's\n")?;
        let [pass, sizes, who] = ["", "sizes", "by"];
        writeln!(
            f,
            "{pass:<11} {sizes:<28} {:<5} {who:<8} {:>9} {:>9} {who:<8} {:>9} {:>9} {:>6}",
            "", "ms", "GFLOP/s", "ms", "GFLOP/s", "ratio"
        )?;
        for contest in contests {
            let Contest { pass, sizes, precision, flops, .. } = contest;
            write!(f, "{pass:<11} {sizes:<28} {:<5}", precision.to_string())?;
            for entry in [contest.own(), contest.cudnn()] {
                match entry {
                    Some(Entry { name, seconds }) => {
                        write!(f, " {name:<8} {:>9.4} {:>9.0}", 1e3 * seconds, flops / seconds / 1e9)?;
                    }
                    None => write!(f, " {:<8} {:>9} {:>9}", "none", "", "")?,
                }
            }
            match ratio(contest) {
                Some(ratio) => writeln!(f, " {ratio:>6.2}")?,
                None => writeln!(f)?,
            }
        }
        let ratios: Vec<f64> = contests.iter().filter_map(ratio).collect();
        if ratios.is_empty() {
            return writeln!(f, "\ncuDNN computed none of them: see `ddgan doctor`");
        }
        let [faster, near] = [1.0, NEAR].map(|most| ratios.iter().filter(|&&ratio| ratio <= most).count());
        writeln!(
            f,
            "\nOf {} that both computed, ours is the faster in {faster}, and takes at most {NEAR} of cuDNN's time in {near}",
            ratios.len()
        )
    }
}

/// Our time by cuDNN's.
fn ratio(contest: &Contest) -> Option<f64> {
    Some(contest.own()?.seconds / contest.cudnn()?.seconds)
}
