//! Our side of `benches/reference/compare`: one measurement in one process.
//!
//! `cargo bench --bench step -- --case train_w128_b16 --repeats 3` prints one JSON object: `seconds` of each repetition
//! after the warm-up, and `peak_mib`, the process's peak resident memory.

mod workloads;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use ddgan::tensor::Precision;
use workloads::{Build, LARGE_WORKLOADS, Place, TRIAL, WORKLOADS};

#[derive(Parser)]
struct Args {
    /// What to measure; without it nothing is, so that a plain `cargo bench` is not kept waiting
    #[arg(long)]
    case: Option<String>,
    /// Timed repetitions
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// What `cargo bench` and `cargo test` give every target
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let workloads = || WORKLOADS.iter().chain(&LARGE_WORKLOADS).chain([&TRIAL]);
    let names = workloads().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some(case) = args.case else {
        println!("step: give --case, one of {names}; or see benches/reference/compare");
        return Ok(());
    };
    let Some((_, build)) = workloads().find(|(name, _)| *name == case) else {
        bail!("there is no case {case}; there are {names}");
    };
    let pool = rayon::ThreadPoolBuilder::new().build()?;
    let seconds = pool.install(|| measure(*build, args.repeats))?;
    let precision = if Place::get().precision == Precision::Bf16 { "bf16" } else { "f32" };
    let conv = std::env::var("DDGAN_BENCH_CONV").map_or(String::new(), |conv| format!(", conv {conv}"));
    let variant = format!("ours {precision}{conv}");
    println!(
        "{}",
        serde_json::json!({ "case": case, "variant": variant, "seconds": seconds, "peak_mib": peak_mib()? })
    );
    Ok(())
}

/// Seconds of each repetition after the first. Runs on a thread of the pool, as the program does.
fn measure(build: Build, repeats: usize) -> Result<Vec<f64>> {
    let mut run = build()?;
    run()?;
    let mut seconds = Vec::new();
    for _ in 0..repeats {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// The largest resident set this process ever had, to a tenth.
fn peak_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("peak memory is read from Linux's /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("VmHWM is no number")?;
    Ok((10.0 * kib / 1024.0).round() / 10.0)
}
