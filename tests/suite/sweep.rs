//! `ddgan sweep` on tiny runs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{TINY, ddgan, fail, stderr, stdout, succeed};

/// A sweep's file with what the tiny run's flags say as its base.
fn write(folder: &Path, eval: &str, runs: &str) {
    let base = stdout(&ddgan(folder, &format!("train {TINY} --dry-run")));
    let base = base.replace("\n[", "\n[base.config.");
    let text = format!("eval = {eval}\noutdir = \"out\"\n[base]\nmax_steps = 2\n[base.config]\n{base}\n{runs}");
    fs::write(folder.join("list.toml"), text).unwrap();
}

fn state(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("out/sweep.json")).unwrap()).unwrap()
}

#[test]
fn a_sweep_trains_what_is_not_done_and_tables_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    write(dir.path(), "[]", "[[run]]\nname = \"a\"\n[[run]]\nname = \"b\"\nset = [\"schedule.num_timesteps=1\"]\n");
    let said = succeed(dir.path(), "sweep list.toml --dry-run");
    assert_eq!(said, "out/a: to train\nout/b: to train\n");
    assert!(!at("out").exists());

    // One that was begun by hand goes on.
    fs::create_dir(at("out")).unwrap();
    succeed(dir.path(), &format!("train {TINY} --max_steps 1 --checkpoint-every 1 --outdir out/a"));
    let output = ddgan(dir.path(), "sweep list.toml");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("continuing after step 1"), "{}", stderr(&output));
    let table = fs::read_to_string(at("out/sweep.md")).unwrap();
    assert!(table.starts_with("| run | schedule.num_timesteps | training samples | training time |"), "{table}");
    assert!(table.contains("| a | 2 | 6 |") && table.contains("| b | 1 | 6 |"), "{table}");
    assert!(stdout(&output).contains(&table) && stdout(&output).ends_with("out/compare.png\n"));
    assert!(at("out/compare.html").is_file());
    let runs = &state(dir.path())["runs"];
    assert_eq!((&runs["a"]["ended"], &runs["b"]["steps"]), (&"limit".into(), &2.into()));

    let stamp = |run: &str| fs::metadata(at(run).join("stats.jsonl")).unwrap().modified().unwrap();
    let before = stamp("out/a");
    let said = stderr(&ddgan(dir.path(), "sweep list.toml"));
    assert_eq!(said.matches("done before").count(), 2, "{said}");
    assert_eq!(stamp("out/a"), before);
    // A later end is a reason to go on.
    let text = fs::read_to_string(at("list.toml")).unwrap().replace("max_steps = 2", "max_steps = 3");
    fs::write(at("list.toml"), text).unwrap();
    succeed(dir.path(), "sweep list.toml");
    assert_eq!(state(dir.path())["runs"]["b"]["steps"], 3);
}

#[test]
fn what_fails_does_not_keep_the_others_from_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let runs = "[[run]]\nname = \"bad\"\nset = [\"dataset=mnist\"]\n[[run]]\nname = \"good\"\n";
    write(dir.path(), "[\"--count 2 --classifier none.safetensors\"]", runs);
    fail(dir.path(), "sweep list.toml", &["2 of 2 runs failed", "bad: ", "train-images", "good: ", "none.safetensors"]);
    let state = state(dir.path());
    assert_eq!((&state["runs"]["bad"]["ended"], &state["runs"]["good"]["ended"]), (&Value::Null, &"limit".into()));
    assert!(dir.path().join("out/sweep.md").is_file());

    write(dir.path(), "[\"--cuont 2\"]", "[[run]]\nname = \"never\"\n");
    fail(dir.path(), "sweep list.toml", &["list.toml", "--cuont", "--count"]);
    assert!(!dir.path().join("out/never").exists());
    fail(dir.path(), "sweep nowhere.toml", &["nowhere.toml"]);
    fs::write(dir.path().join("out/sweep.json"), "{").unwrap();
    write(dir.path(), "[]", "[[run]]\nname = \"good\"\n");
    fail(dir.path(), "sweep list.toml", &["sweep.json", "Remove it"]);
}
