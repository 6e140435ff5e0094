//! Trainings that are stopped in whatever way, and continued.

#[cfg(unix)]
mod unix;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ddgan::tensor::{DType, Device, Key, Tensor, uniform};
use ddgan::train::{Earlier, Ending, RunOptions, Stats, Trainer};
use tempfile::TempDir;

use crate::program::{TINY, command, fail, stderr, succeed};

/// `data/mnist` with so many pictures: with the batches of [`TINY`], 8 pictures are 3 steps an epoch.
fn with_pictures(n: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_pictures(dir.path(), n);
    dir
}

fn write_pictures(dir: &Path, n: usize) {
    let folder = dir.join("data/mnist");
    fs::create_dir_all(&folder).unwrap();
    let idx = |dims: &[u32], values: Vec<u8>| {
        let header = [0, 0, 8, dims.len() as u8].into_iter().chain(dims.iter().flat_map(|d| d.to_be_bytes()));
        header.chain(values).collect::<Vec<u8>>()
    };
    let pixels = (0..n * 28 * 28).map(|i| (i % 251 * (i / 784 + 1)) as u8).collect();
    fs::write(folder.join("train-images-idx3-ubyte"), idx(&[n as u32, 28, 28], pixels)).unwrap();
    fs::write(folder.join("train-labels-idx1-ubyte"), idx(&[n as u32], (0..n).map(|i| i as u8 % 10).collect()))
        .unwrap();
}

/// Trains from the beginning, without a pause, into `outdir`.
fn train(dir: &Path, outdir: &str, flags: &str) {
    succeed(dir, &format!("train mnist {TINY} --num_epoch 9 {flags} --outdir {outdir}"));
}

fn checkpoint(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:06}.safetensors"))
}

fn steps_saved(run: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn stats(run: &Path) -> Vec<Stats> {
    let text = fs::read_to_string(run.join("stats.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All that a run leaves and that does not depend on the machine: files by name, statistics without the times.
fn traces(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["", "grids", "checkpoints"] {
        for path in fs::read_dir(run.join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_file() && !path.ends_with(".lock") && !path.ends_with("stats.jsonl") {
                let name = path.strip_prefix(run).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let lines =
        stats(run).into_iter().map(|line| Stats { images_per_s: 0.0, seconds: 0.0, peak_memory_mib: None, ..line });
    files.insert("stats.jsonl".into(), format!("{:#?}", lines.collect::<Vec<_>>()).into_bytes());
    files
}

/// Names the files in which two runs differ.
fn assert_same(run: &Path, unbroken: &Path) {
    let (got, want) = (traces(run), traces(unbroken));
    assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    for (name, content) in &want {
        assert!(got[name] == *content, "{name} differs");
    }
}

fn start(dir: &Path, arguments: &str) -> Child {
    command(dir, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for a training that was started to write something.
fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn has_lines(run: &Path) -> bool {
    fs::metadata(run.join("stats.jsonl")).is_ok_and(|file| file.len() > 0)
}

/// `DDGAN_KILLS=300 cargo test killed` is the long version.
#[test]
fn killed_at_random_moments_it_ends_bit_for_bit_the_same() {
    let dir = with_pictures(8);
    let flags = "--stats-every 4 --grid-every 5 --checkpoint-every 3 --keep-checkpoints 2 --major-every 3";
    let started = Instant::now();
    train(dir.path(), "unbroken", &format!("{flags} --threads 1"));
    let duration = started.elapsed();

    let kills: usize = std::env::var("DDGAN_KILLS").map_or(6, |kills| kills.parse().expect("a number of kills"));
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let (mut tries, mut killed, mut rounds) = (0, 0, 0);
    while killed < kills {
        let broken = dir.path().join("broken");
        let _ = fs::remove_dir_all(&broken);
        loop {
            tries += 1;
            let random = uniform([2], Key { seed, stream: tries }, DType::F32, &Device::Cpu).unwrap().to_f32();
            let threads = (3.0 * random[0]).ceil();
            let arguments = if broken.join("config.toml").exists() {
                format!("train --resume broken --threads {threads}")
            } else {
                format!("train mnist {TINY} --num_epoch 9 {flags} --outdir broken --threads {threads}")
            };
            let mut child = start(dir.path(), &arguments);
            if killed < kills {
                std::thread::sleep(duration.mul_f32(random[1]));
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            if output.status.success() {
                break;
            }
            assert_eq!(output.status.code(), None, "{arguments}: {}", stderr(&output));
            killed += 1;
        }
        rounds += 1;
        assert_same(&broken, &dir.path().join("unbroken"));
    }
    println!("{killed} kills in {rounds} trainings of {duration:.2?}, seed {seed}");
}

#[test]
fn limits_leave_a_run_that_goes_on_as_if_there_were_none() {
    let dir = with_pictures(8);
    let flags = "--stats-every 4 --grid-every 5 --checkpoint-every 100 --seed 3";
    train(dir.path(), "unbroken", flags);
    train(dir.path(), "run", &format!("{flags} --max-steps 6 --threads 1"));
    let run = dir.path().join("run");
    assert_eq!(stats(&run).iter().map(|line| line.step).collect::<Vec<_>>(), [1, 4, 6]);
    succeed(dir.path(), "train --resume run --max-steps 13 --threads 3");
    // The line of the interval that ended at step 6 has given way to that of the whole one.
    assert_eq!(stats(&run).iter().map(|line| line.step).collect::<Vec<_>>(), [1, 4, 8, 12, 13]);
    assert!(stats(&run).is_sorted_by(|a, b| a.seconds < b.seconds));
    succeed(dir.path(), "train --resume run/checkpoints/step-000013.safetensors");
    fs::remove_file(checkpoint(&run, 13)).unwrap();
    assert_same(&run, &dir.path().join("unbroken"));

    let before = traces(&run);
    let said = succeed(dir.path(), "train --resume run");
    assert!(said.contains("Nothing to do") && said.contains("27 steps") && said.contains("--num-epoch 18"), "{said}");
    assert!(traces(&run) == before);
    let said = succeed(dir.path(), "train --resume run --num-epoch 10");
    assert!(said.contains("30 steps"), "{said}");
}

#[test]
fn a_run_that_is_asked_to_stop_before_its_first_step_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let mut config = ddgan::train::preset("digits").unwrap();
    (config.batch_size, config.generator.num_channels_dae, config.grid_pictures) = (2, 8, 4);
    let options = RunOptions { outdir: Some(folder.clone()), ..Default::default() };
    options.stop.store(true, Ordering::Relaxed);
    let finished = ddgan::train::run(&config, &options).unwrap();
    assert_eq!((finished.ending, finished.steps), (Ending::Stopped, 0));
    assert_eq!(steps_saved(&folder), ["step-000000.safetensors"]);

    let resume = Some(Earlier::at(&folder).unwrap());
    let options = RunOptions { resume, max_steps: Some(1), ..Default::default() };
    let finished = ddgan::train::run(&config, &options).unwrap();
    assert_eq!((finished.ending, finished.new_steps), (Ending::Limit(folder.join("samples.png")), 1));
}

#[test]
fn numbers_that_are_not_finite_are_never_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let mut config = ddgan::train::preset("digits").unwrap();
    config.generator.num_channels_dae = 8;
    let trainer = Trainer::new(&config, DType::F32, &Device::Cpu).unwrap();
    let bias = trainer.discriminator().params().iter().find(|param| param.name() == "end_linear.bias").unwrap();
    for value in [f32::NAN, f32::INFINITY] {
        trainer.snapshot(0).write(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let good = bias.value();
        bias.set(Tensor::from_f32(&[value], [1])).unwrap();
        let error = trainer.snapshot(0).write(&path).unwrap_err().to_string();
        assert!(error.contains("d.param.end_linear.bias") && error.contains("diverged"), "{error}");
        assert!(fs::read(&path).unwrap() == before);
        bias.set(good).unwrap();
    }
}

#[test]
fn latest_means_the_newest_run_of_the_preset_or_the_folder() {
    let dir = with_pictures(8);
    let train = |flags: &str| succeed(dir.path(), &format!("train {flags} --max-steps 2"));
    train(&format!("mnist {TINY}"));
    train(&format!("digits {TINY}"));
    let resume = |flags: &str, folder: &str| {
        let said = succeed(dir.path(), &format!("train {flags} --max-steps 3"));
        assert!(said.contains("3 steps done") && said.contains(folder), "{said}");
    };
    resume("mnist --resume", "runs/00000-mnist");
    resume("--resume latest", "runs/00001-digits");
    let said = succeed(dir.path(), "train --resume --outdir runs/00000-mnist --max-steps 4");
    assert!(said.contains("4 steps done") && said.contains("runs/00000-mnist"), "{said}");
    fail(dir.path(), "train stackmnist --resume", &["no run of stackmnist in runs"]);
    fail(dir.path(), "train --resume mnist", &["train mnist --resume"]);
    fail(dir.path(), "train --resume elsewhere", &["elsewhere", "no such"]);
    fail(dir.path(), "train --resume data", &["data", "no run"]);
}

#[test]
fn a_checkpoint_that_is_not_the_newest_becomes_a_run_of_its_own() {
    let dir = with_pictures(8);
    train(dir.path(), "run", "--checkpoint-every 2 --keep-checkpoints 9 --max-steps 6");
    let before = traces(&dir.path().join("run"));
    succeed(dir.path(), "train --resume run/checkpoints/step-000002.safetensors --outdir branch --max-steps 6");
    assert!(traces(&dir.path().join("run")) == before);
    let last = |run: &str| fs::read(checkpoint(&dir.path().join(run), 6)).unwrap();
    assert!(last("run") == last("branch"));
    assert_eq!(stats(&dir.path().join("branch"))[0].step, 3);
    succeed(dir.path(), "train --resume branch --outdir twig --max-steps 7");
    assert!(checkpoint(&dir.path().join("twig"), 7).exists() && !checkpoint(&dir.path().join("branch"), 7).exists());
}

#[test]
fn changes_are_told_and_those_that_would_break_the_run_refused() {
    let dir = with_pictures(8);
    train(dir.path(), "run", "--max-steps 4");
    train(dir.path(), "unbroken", "--max-steps 6");
    let before = traces(&dir.path().join("run"));
    let words = ["batch_size 3 -> 4", "generator.nz 4 -> 5", "seed 1024 -> 1", "without --resume", "num_epoch"];
    fail(dir.path(), "train --resume run --batch_size 4 --nz 5 --seed 1", &words);
    write_pictures(dir.path(), 9);
    fail(dir.path(), "train --resume run", &["mnist has 9 pictures", "8", "--data-dir"]);
    write_pictures(dir.path(), 8);
    assert!(traces(&dir.path().join("run")) == before);

    let output = command(dir.path(), "train --resume run --grid-every 3 --lr-g 1e-5 --max-steps 6").output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("changed: grid_every 500 -> 3"), "{said}");
    assert!(said.lines().any(|l| l.starts_with("warning: ") && l.contains("lr_g 0.0002 -> 0.00001")), "{said}");
    assert!(dir.path().join("run/grids/step-000006.png").is_file());
    let config = fs::read_to_string(dir.path().join("run/config.toml")).unwrap();
    assert!(config.contains("grid_every = 3\n") && config.contains("lr_g = 0.00001\n"), "{config}");
    let last = |run: &str| fs::read(checkpoint(&dir.path().join(run), 6)).unwrap();
    assert!(last("run") != last("unbroken"));
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let dir = with_pictures(8);
    let flags = "--checkpoint-every 2 --max-steps 6";
    train(dir.path(), "run", flags);
    let run = dir.path().join("run");
    let unbroken = traces(&run);
    let damage = |step: u64| {
        let mut bytes = fs::read(checkpoint(&run, step)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(checkpoint(&run, step), bytes).unwrap();
    };
    damage(6);
    let output = command(dir.path(), "train --resume run --max-steps 6").output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("warning: run/checkpoints/step-000006.safetensors: is damaged"), "{said}");
    assert!(said.contains("continuing after step 4"), "{said}");
    fs::remove_file(run.join("checkpoints/step-000006.safetensors.damaged")).unwrap();
    assert!(traces(&run) == unbroken);

    fs::write(checkpoint(&run, 6), b"cut").unwrap();
    damage(4);
    let before = traces(&run);
    fail(dir.path(), "train --resume run", &["step-000006", "whole", "without --resume"]);
    assert!(traces(&run) == before);
}

#[test]
fn the_last_and_the_major_checkpoints_are_kept() {
    let dir = with_pictures(8);
    train(dir.path(), "run", "--checkpoint-every 4 --keep-checkpoints 1 --major-every 2 --max-steps 17");
    let want = [6, 12, 17].map(|step| format!("step-{step:06}.safetensors"));
    assert_eq!(steps_saved(&dir.path().join("run")), want);
}

#[test]
fn a_loss_that_diverges_leaves_the_last_good_checkpoint_and_says_what_to_do() {
    let dir = with_pictures(8);
    train(dir.path(), "run", "--max-steps 2 --checkpoint-every 100");
    let before = fs::read(checkpoint(&dir.path().join("run"), 2)).unwrap();
    let words = ["step ", "loss_", "lr_g", "step 2 is saved", "ddgan train --resume run --lr-g 5e29 --lr-d "];
    fail(dir.path(), "train --resume run --lr-g 1e30 --no-lr-decay", &words);
    assert_eq!(steps_saved(&dir.path().join("run")), ["step-000002.safetensors"]);
    assert!(fs::read(checkpoint(&dir.path().join("run"), 2)).unwrap() == before);
    succeed(dir.path(), "train --resume run --lr-g 1e-4 --max-steps 4");
}
