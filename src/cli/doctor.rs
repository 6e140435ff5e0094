//! `ddgan doctor`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Args;
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::backend::cpu::simd::{Isa, isa};
use crate::backend::{self, Device};
use crate::data::survey::{self, Part};
use crate::system;

/// Tell what a bug report needs: versions, processor, devices, data.
#[derive(Args)]
pub struct DoctorArgs {
    /// Print it for programs
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    program: Program,
    system: String,
    processor: Processor,
    memory: Memory,
    devices: Vec<String>,
    /// What keeps GPUs from being used, if something does.
    no_gpu: Option<String>,
    /// What compiled the GPU kernels, or why there are none.
    kernels: String,
    /// NVIDIA's, and what was found of each.
    libraries: Vec<(&'static str, String)>,
    data: Vec<Data>,
    terminal: Terminal,
    /// Variables that change what the program does, and are set.
    environment: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct Program {
    version: &'static str,
    /// Where a release was built from a clone.
    commit: Option<&'static str>,
    target: &'static str,
    profile: &'static str,
    rustc: &'static str,
}

#[derive(Serialize)]
struct Processor {
    name: Option<String>,
    features: Vec<&'static str>,
    /// Instruction sets that there is code for and that the processor has.
    instruction_sets: Vec<&'static str>,
    /// The one that is used.
    instruction_set: &'static str,
    /// Threads that this process may run at once.
    available_threads: Option<usize>,
    /// Threads that compute.
    threads: usize,
}

/// In bytes.
#[derive(Serialize)]
struct Memory {
    total: Option<u64>,
    available: Option<u64>,
    swap: Option<u64>,
    /// Of the container.
    limit: Option<u64>,
}

#[derive(Serialize)]
struct Data {
    name: &'static str,
    state: String,
}

#[derive(Serialize)]
struct Terminal {
    stdout: bool,
    stderr: bool,
    kind: Option<String>,
}

pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let report = Report::new();
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

impl Report {
    fn new() -> Report {
        let memory = system::memory();
        let (devices, no_gpu) = devices();
        Report {
            program: Program {
                version: env!("CARGO_PKG_VERSION"),
                commit: option_env!("DDGAN_COMMIT"),
                target: env!("DDGAN_TARGET"),
                profile: env!("DDGAN_PROFILE"),
                rustc: env!("DDGAN_RUSTC"),
            },
            system: system::name(),
            processor: Processor {
                name: system::processor(),
                features: system::processor_features(),
                instruction_sets: Isa::available().into_iter().map(Isa::name).collect(),
                instruction_set: isa().name(),
                available_threads: available_parallelism().ok().map(Into::into),
                threads: rayon::current_num_threads(),
            },
            memory: Memory {
                total: memory.map(|m| m.total),
                available: memory.map(|m| m.available),
                swap: memory.map(|m| m.swap),
                limit: system::memory_limit(),
            },
            devices,
            no_gpu,
            kernels: backend::kernels(),
            libraries: backend::libraries(),
            data: survey::survey(None, false).into_iter().map(|f| Data { name: f.name, state: state(&f) }).collect(),
            terminal: Terminal {
                stdout: std::io::stdout().is_terminal(),
                stderr: std::io::stderr().is_terminal(),
                kind: std::env::var("TERM").ok(),
            },
            environment: environment(),
        }
    }
}

/// Every device that can compute, and why there is no GPU among them.
fn devices() -> (Vec<String>, Option<String>) {
    let mut devices = vec![Device::Cpu];
    let end = loop {
        match Device::cuda(devices.len() - 1) {
            Ok(gpu) => devices.push(gpu),
            Err(error) => break error,
        }
    };
    let no_gpu = (devices.len() == 1).then(|| end.to_string());
    let described = devices.iter().map(|device| match device {
        Device::Cpu => device.to_string(),
        #[allow(unreachable_patterns)]
        gpu => format!("{gpu}: {}", gpu.name()),
    });
    (described.collect(), no_gpu)
}

/// One line about a data set.
fn state(finding: &survey::Finding) -> String {
    let part = |part: &Part| match part {
        Part::Found { counts, .. } => format!("{}", counts.iter().sum::<u64>()),
        Part::Missing { .. } => "not there".into(),
        Part::Broken { why } => format!("BROKEN: {why}"),
    };
    let place = match (&finding.train, &finding.test) {
        (Part::Missing { .. }, Part::Missing { .. }) => return "not there".into(),
        (Part::Found { origin, .. }, _) | (_, Part::Found { origin, .. }) => format!("; {origin}"),
        _ => String::new(),
    };
    format!("train {}, test {}{place}", part(&finding.train), part(&finding.test))
}

fn environment() -> Vec<(&'static str, String)> {
    const SHOWN: [&str; 12] = [
        "DDGAN_CPU_ISA",
        "DDGAN_DATA",
        "RAYON_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "CUDA_HOME",
        "LD_LIBRARY_PATH",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
        "LANG",
        "RUST_BACKTRACE",
    ];
    /// They may have a password in them.
    const HIDDEN: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let value = |name| Some((name, std::env::var_os(name)?.to_string_lossy().into_owned()));
    let is_set = |name| std::env::var_os(name).map(|_| (name, "(set)".to_string()));
    SHOWN.into_iter().filter_map(value).chain(HIDDEN.into_iter().filter_map(is_set)).collect()
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Report { program, system, processor, memory, devices, no_gpu, .. } = self;
        let Report { kernels, libraries, data, terminal, environment, .. } = self;
        let unknown = || "unknown".to_string();
        let bytes = |n: Option<u64>| n.map_or_else(unknown, |n| BinaryBytes(n).to_string());

        let commit = program.commit.map_or(String::new(), |commit| format!(" (commit {commit})"));
        let Program { version, target, profile, rustc, .. } = program;
        section(f, "program", [format!("ddgan {version}{commit}, {profile} build for {target}"), rustc.to_string()])?;
        section(f, "system", [system.clone()])?;
        let available = processor.available_threads.map_or_else(unknown, |n| n.to_string());
        section(
            f,
            "processor",
            [
                processor.name.clone().unwrap_or_else(unknown),
                format!("computes with {} of {available} threads", processor.threads),
                format!("in {}, of {}", processor.instruction_set, processor.instruction_sets.join(", ")),
                format!("features: {}", processor.features.join(" ")),
            ],
        )?;
        let limit = memory.limit.map(|limit| format!("limited to {}", BinaryBytes(limit)));
        let has =
            format!("{}, {} available, {} to swap", bytes(memory.total), bytes(memory.available), bytes(memory.swap));
        section(f, "memory", [Some(has), limit].into_iter().flatten())?;
        let reason = no_gpu.as_ref().map(|why| format!("no GPU: {why}"));
        section(f, "devices", devices.iter().cloned().chain(reason))?;
        section(f, "kernels", [kernels.clone()])?;
        section(f, "libraries", libraries.iter().map(|(name, state)| format!("{name}: {state}")))?;
        section(f, "data", data.iter().map(|data| format!("{}: {}", data.name, data.state)))?;
        let yes = |is| if is { "a terminal" } else { "no terminal" };
        let streams = format!("stdout is {}, stderr {}", yes(terminal.stdout), yes(terminal.stderr));
        section(f, "terminal", [Some(streams), terminal.kind.clone()].into_iter().flatten())?;
        section(f, "environment", environment.iter().map(|(name, value)| format!("{name}={value}")))
    }
}

/// A title, and lines beside it.
fn section(f: &mut std::fmt::Formatter, title: &str, lines: impl IntoIterator<Item = String>) -> std::fmt::Result {
    let mut title = title;
    for line in lines {
        writeln!(f, "{title:<12} {line}")?;
        title = "";
    }
    if title.is_empty() { Ok(()) } else { writeln!(f, "{title:<12} nothing") }
}
