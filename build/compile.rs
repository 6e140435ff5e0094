//! Runs compilers, several at once, and only for what has changed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::{env, fs, thread};

/// Images of all kernels, NAME.fatbin in one folder.
pub struct Images {
    pub folder: PathBuf,
    /// What made them, for the program to tell.
    pub compiler: String,
}

/// One file to be made, by commands that run one after another.
pub struct Job {
    /// Files and whole folders that the output depends on.
    pub inputs: Vec<PathBuf>,
    pub output: PathBuf,
    pub commands: Vec<Command>,
}

/// Runs the jobs whose inputs or commands have changed since they last ran, NUM_JOBS at a time. Warnings become cargo's.
pub fn run(jobs: Vec<Job>) {
    let stale = jobs.into_iter().filter_map(|job| {
        let stamp = (job.output.with_extension("stamp"), hash(&job).to_string());
        let fresh = job.output.exists() && fs::read_to_string(&stamp.0).is_ok_and(|s| s == stamp.1);
        (!fresh).then_some((job, stamp))
    });
    let queue = Mutex::new(stale.collect::<Vec<_>>().into_iter());
    let workers = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((job, (stamp, hash))) = { queue.lock().unwrap().next() } {
                    let _ = fs::remove_file(&stamp);
                    job.commands.into_iter().for_each(execute);
                    fs::write(&stamp, hash).unwrap_or_else(|e| panic!("{}: {e}", stamp.display()));
                }
            });
        }
    });
}

/// The .cuh files of some folders.
pub fn headers(folders: &[&Path]) -> Vec<PathBuf> {
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a readable folder"));
    let paths = entries.map(|e| e.expect("a readable folder").path());
    paths.filter(|path| path.extension().is_some_and(|e| e == "cuh")).collect()
}

fn execute(mut command: Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{}{text}", String::from_utf8_lossy(&output.stdout));
    for line in text.lines().filter(|l| l.contains("warning")) {
        println!("cargo:warning={line}");
    }
}

/// Of a job's commands and everything in its inputs.
fn hash(job: &Job) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{:?}", job.commands).hash(&mut hasher);
    let mut pending = job.inputs.clone();
    pending.sort();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a readable folder");
            let mut entries: Vec<PathBuf> = entries.map(|e| e.expect("a readable folder").path()).collect();
            entries.sort();
            pending.extend(entries);
        } else {
            (&path, fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).hash(&mut hasher);
        }
    }
    hasher.finish()
}
