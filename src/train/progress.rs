//! How a run shows where it is: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Stats;

/// When a training ends: by steps (or the epochs they make up), or by time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub steps: u64,
    pub time: Option<Duration>,
}

impl Limits {
    /// The share of the way done, by whichever limit is nearer, and the time left at the pace since step `first`.
    fn estimate(&self, first: u64, step: u64, elapsed: Duration) -> (f64, Duration) {
        let by_steps = step as f64 / self.steps as f64;
        let seconds = elapsed.as_secs_f64();
        let (done, left) = (step.saturating_sub(first), self.steps.saturating_sub(step));
        // Not more than a duration can hold.
        let left_by_steps = (seconds * left as f64 / done.max(1) as f64).min(1e12);
        let Some(time) = self.time else { return (by_steps, Duration::from_secs_f64(left_by_steps)) };
        let left_by_time = time.saturating_sub(elapsed);
        if left_by_time.as_secs_f64() < left_by_steps {
            (seconds / time.as_secs_f64(), left_by_time)
        } else {
            (by_steps, Duration::from_secs_f64(left_by_steps))
        }
    }

    /// Whether a run that has done `step` steps is over.
    pub fn reached(&self, step: u64, elapsed: Duration) -> bool {
        step >= self.steps || self.time.is_some_and(|time| elapsed >= time)
    }
}

/// The display of one run.
pub struct Progress {
    limits: Limits,
    /// Steps that were done before.
    first: u64,
    started: Instant,
    bar: Option<ProgressBar>,
    losses: String,
}

/// The bar's length; its position is the share done.
const PARTS: u64 = 1000;

impl Progress {
    pub fn new(limits: Limits, first: u64, started: Instant) -> Progress {
        let style = ProgressStyle::with_template("{bar:12} {wide_msg}").expect("a valid template");
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(PARTS).with_style(style));
        Progress { limits, first, started, bar, losses: String::new() }
    }

    /// After every step.
    pub fn step(&self, step: u64, epoch: u64) {
        if let Some(bar) = &self.bar {
            let (share, message) = self.line(step, epoch);
            bar.set_position((share * PARTS as f64) as u64);
            bar.set_message(message);
        }
    }

    /// After every line of statistics.
    pub fn stats(&mut self, stats: &Stats) {
        let Stats { loss_d_real, loss_d_fake, loss_r1, loss_x0, loss_g, images_per_s, .. } = stats;
        let r1 = loss_r1.map_or(String::new(), |r1| format!(" R1 {r1:.3}"));
        let x0 = loss_x0.map_or(String::new(), |x0| format!("  D of x_0 {x0:.3}"));
        let losses = match (loss_d_real, loss_d_fake) {
            (Some(real), Some(fake)) => format!("D {real:.3}+{fake:.3}{r1}{x0}  G {loss_g:.3}"),
            _ => format!("loss {loss_g:.4}"),
        };
        self.losses = format!("{losses}  {images_per_s:.0} images/s");
        if self.bar.is_none() {
            say(&self.line(stats.step, stats.epoch).1);
        }
    }

    /// A line that stays.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => say(line),
        }
    }

    fn line(&self, step: u64, epoch: u64) -> (f64, String) {
        let elapsed = self.started.elapsed();
        let (share, left) = self.limits.estimate(self.first, step, elapsed);
        let rate = step.saturating_sub(self.first) as f64 / elapsed.as_secs_f64();
        let (steps, left) = (self.limits.steps, clock(left));
        // What matters most comes first: a terminal cuts the rest.
        let line = format!("step {step}/{steps}  {rate:.2} it/s  {left} left  {}  epoch {epoch}", self.losses);
        (share, line)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A training does not end because nobody listens any more.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `m:ss`, or `h:mm:ss` from an hour on.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}
