//! Signals, locks and devices as Unix has them.

use super::*;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// What a program wrote that has ended by itself, in good order.
fn ended_well(child: Child) -> String {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn signals_save_and_stop() {
    let dir = with_pictures(8);
    let run = dir.path().join("run");
    let flags = "--stats-every 3 --grid-every 1000 --checkpoint-every 1000 --num_epoch 100000";
    let mut child = start(dir.path(), &format!("train mnist {TINY} {flags} --outdir run"));
    let mut done = 0;
    for name in ["INT", "TERM", "USR1"] {
        wait_for("a line of statistics", || has_lines(&run) && stats(&run).last().unwrap().step > done);
        signal(&child, name);
        let said = ended_well(child);
        done = said.strip_prefix("Stopped after ").unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(said.contains("ddgan train --resume run"), "{said}");
        assert!(checkpoint(&run, done).is_file() && !run.join("samples.png").exists(), "{said}");
        child = start(dir.path(), "train --resume run");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(dir.path(), &format!("train --resume run --max-steps {}", done + 2));
    let flags = format!("{flags} --max-steps {}", done + 2);
    succeed(dir.path(), &format!("train mnist {TINY} {flags} --outdir unbroken"));
    let last = |run: &str| fs::read(checkpoint(&dir.path().join(run), done + 2)).unwrap();
    assert!(last("run") == last("unbroken"));
    let lines = |run: &str| stats(&dir.path().join(run)).into_iter().map(|l| (l.step, l.loss_g)).collect::<Vec<_>>();
    assert_eq!(lines("run"), lines("unbroken"));
}

/// Starts a training, and puts something where it is about to write its next checkpoint, whose step is returned.
fn start_with_obstacle(dir: &Path, place: impl FnOnce(&Path)) -> (Child, u64) {
    let run = dir.join("run");
    let flags = "--num_epoch 100000 --checkpoint-every 20 --grid-every 1000";
    let child = start(dir, &format!("train mnist {TINY} {flags} --outdir run"));
    wait_for("a line of statistics", || has_lines(&run));
    signal(&child, "STOP");
    std::thread::sleep(Duration::from_millis(20));
    let step = (stats(&run).last().unwrap().step + 2).next_multiple_of(20);
    place(&run.join(format!("checkpoints/.step-{step:06}.safetensors.tmp")));
    signal(&child, "CONT");
    (child, step)
}

/// The write into a pipe that nobody reads never ends.
#[test]
fn a_second_ctrl_c_ends_at_once() {
    let dir = with_pictures(8);
    let run = dir.path().join("run");
    let (mut child, step) = start_with_obstacle(dir.path(), |path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    });
    wait_for("the checkpoint's step", || stats(&run).last().unwrap().step >= step);
    signal(&child, "INT");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("stopping after this step; a second Ctrl-C")));
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait for its checkpoint");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    succeed(dir.path(), &format!("train --resume run --max-steps {step}"));
}

/// `/dev/full` refuses every byte as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_checkpoint_that_finds_the_disk_full_ends_the_run() {
    let dir = with_pictures(8);
    let (child, step) = start_with_obstacle(dir.path(), |path| symlink("/dev/full", path).unwrap());
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("error: run/checkpoints/step-{step:06}.safetensors: cannot write")), "{said}");
    assert!(said.contains("No space left"), "{said}");
    // Where there was one before, it is what is advised to continue from.
    let newest = steps_saved(&dir.path().join("run")).pop();
    assert_eq!(newest.is_some(), said.contains("`ddgan train --resume run` continues"), "{said}");
    succeed(dir.path(), &format!("train --resume run --max-steps {step}"));
}

#[test]
fn two_runs_never_share_a_folder() {
    let dir = with_pictures(8);
    let mut child = start(dir.path(), &format!("train mnist {TINY} --num_epoch 100000 --outdir run"));
    wait_for("a line of statistics", || has_lines(&dir.path().join("run")));
    let process = format!("process {}", child.id());
    fail(dir.path(), "train --resume run", &["run: another training", &process]);
    fail(dir.path(), &format!("train {TINY} --outdir run"), &["run is not empty"]);
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(dir.path(), "train --resume run --max-steps 1");
}

#[cfg(target_os = "linux")]
#[test]
fn the_training_is_saved_when_other_files_cannot_be_written() {
    let dir = with_pictures(8);
    let flags = "--checkpoint-every 2 --grid-every 3";
    train(dir.path(), "unbroken", &format!("{flags} --max-steps 8"));
    train(dir.path(), "run", &format!("{flags} --max-steps 4"));
    let run = dir.path().join("run");
    let before = fs::read(checkpoint(&run, 4)).unwrap();

    fs::rename(run.join("stats.jsonl"), run.join("stats")).unwrap();
    symlink("/dev/full", run.join("stats.jsonl")).unwrap();
    fail(dir.path(), "train --resume run", &["run/stats.jsonl", "No space left", "step 5 is saved"]);
    fs::rename(run.join("stats"), run.join("stats.jsonl")).unwrap();
    assert!(fs::read(checkpoint(&run, 4)).unwrap() == before);

    fs::create_dir(run.join("grids/.step-000006.png.tmp")).unwrap();
    fail(dir.path(), "train --resume run", &["run/grids/step-000006.png", "step 6 is saved"]);
    fs::remove_dir(run.join("grids/.step-000006.png.tmp")).unwrap();

    succeed(dir.path(), "train --resume run --max-steps 8");
    assert_same(&run, &dir.path().join("unbroken"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = with_pictures(8);
    fail(dir.path(), &format!("train mnist {TINY} --outdir /proc/run"), &["/proc/run", "make the folder"]);
}
