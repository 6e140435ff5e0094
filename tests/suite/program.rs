//! The program itself, on temporary folders.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ddgan::checkpoint::{FORMAT, Header};
use ddgan::train::{Stats, TrainConfig};

/// A network that trains in a moment. Some flags are written as published, with underscores.
pub const TINY: &str = "--num_channels_dae 8 --ch-mult 1 1 --num_res_blocks 1 --attn-resolutions --nz 4 --z_emb_dim 8 \
                    --n_mlp 1 --ngf 2 --t-emb-dim 8 --batch_size 3 --num_timesteps 2 --grid-pictures 4 --stats-every 1";

pub fn ddgan(folder: &Path, arguments: &str) -> Output {
    command(folder, arguments).output().unwrap()
}

pub fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddgan"));
    // Neither colours nor data nor GPUs from the machine that tests.
    command.current_dir(folder).env_remove("DDGAN_DATA").env_remove("CLICOLOR_FORCE").env("CUDA_VISIBLE_DEVICES", "");
    command.args(arguments.split_whitespace());
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn succeed(folder: &Path, arguments: &str) -> String {
    let output = ddgan(folder, arguments);
    assert!(output.status.success(), "ddgan {arguments}: {}", stderr(&output));
    stdout(&output)
}

/// Exit code 1 and one error, which says all of `words`.
pub fn fail(folder: &Path, arguments: &str, words: &[&str]) {
    let output = ddgan(folder, arguments);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "ddgan {arguments}: {message}");
    assert_eq!(message.matches("error: ").count(), 1, "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for word in words {
        assert!(message.contains(word), "ddgan {arguments}: no `{word}` in: {message}");
    }
}

/// Width and height in the header of a PNG.
pub fn png_size(path: &Path) -> [u32; 2] {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n", "{}", path.display());
    [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
}

#[test]
fn train_leaves_a_run_and_sample_draws_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let said = succeed(dir.path(), &format!("train {TINY} --max_steps 3 --grid-every 2 --checkpoint-every 1 --seed 5"));
    let last = said.lines().last().unwrap();
    assert!(last.contains("runs/00000-digits") && last.contains("samples.png"), "{said}");

    let config = TrainConfig::from_toml(&fs::read_to_string(at("runs/00000-digits/config.toml")).unwrap()).unwrap();
    assert_eq!((config.seed, config.batch_size, config.schedule.num_timesteps), (5, 3, 2));
    assert_eq!((config.generator.ch_mult, config.generator.attn_resolutions), (vec![1, 1], vec![]));
    let stats = fs::read_to_string(at("runs/00000-digits/stats.jsonl")).unwrap();
    let stats: Vec<Stats> = stats.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(stats.iter().map(|s| s.step).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(stats.iter().all(|s| s.loss_g.is_finite() && s.images_per_s > 0.0 && s.lr_g == config.lr_g));
    // Four pictures of 32x32 with 2 pixels between and about them.
    assert_eq!(png_size(&at("runs/00000-digits/samples.png")), [70, 70]);
    assert_eq!(png_size(&at("runs/00000-digits/grids/step-000002.png")), [70, 70]);
    let mut kept: Vec<_> =
        fs::read_dir(at("runs/00000-digits/checkpoints")).unwrap().map(|e| e.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["step-000002.safetensors", "step-000003.safetensors"]);

    let said = succeed(dir.path(), "sample runs/00000-digits --count 1 --seed 9");
    let picture = "runs/00000-digits/sample-step-000003-seed-9.png";
    assert_eq!(said.lines().last(), Some(picture));
    assert_eq!(png_size(&at(picture)), [36, 36]);
}

#[test]
fn runs_are_reproducible_numbered_and_never_shared() {
    let dir = tempfile::tempdir().unwrap();
    let train = |flags: &str| succeed(dir.path(), &format!("train digits {TINY} --max_steps 2 {flags}"));
    train("--threads 1");
    train("--threads 2");
    let checkpoint = |run: &str| fs::read(dir.path().join(run).join("checkpoints/step-000002.safetensors")).unwrap();
    assert!(checkpoint("runs/00000-digits") == checkpoint("runs/00001-digits"));
    train("--outdir here");
    assert!(dir.path().join("here/samples.png").is_file());
    let stats = fs::read(dir.path().join("here/stats.jsonl")).unwrap();
    fail(dir.path(), &format!("train {TINY} --max_steps 1 --outdir here"), &["here", "not empty", "--outdir"]);
    assert_eq!(fs::read(dir.path().join("here/stats.jsonl")).unwrap(), stats);
}

#[test]
fn time_ends_a_training_too() {
    let dir = tempfile::tempdir().unwrap();
    succeed(dir.path(), &format!("train {TINY} --max_minutes 0.01 --outdir run"));
    let stats = fs::read_to_string(dir.path().join("run/stats.jsonl")).unwrap();
    let last: Stats = serde_json::from_str(stats.lines().last().unwrap()).unwrap();
    assert!(last.step >= 1 && last.seconds < 60.0, "{last:?}");
}

#[test]
fn bad_input_ends_with_one_error_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let train = |flags: &str, words: &[&str]| fail(dir.path(), &format!("train {TINY} --max_steps 2 {flags}"), words);
    train("--batch_size 0", &["batch_size is 0", "1 to"]);
    train("--num-timesteps 0", &["num_timesteps"]);
    train("--image-size 64", &["32x32", "64x64"]);
    train("--dataset nist", &["nist", "digits, mnist, stackmnist"]);
    train("--dataset mnist", &["train-images-idx3-ubyte", "--data-dir"]);
    train("--use-geometric", &["below 1"]);
    assert!(!dir.path().join("runs").exists(), "a run that never started left a folder");

    for flags in ["", "--step 3", "--epoch-id 3"] {
        fail(dir.path(), &format!("sample nowhere {flags}"), &["nowhere: there is no such run's folder or checkpoint"]);
    }
    fail(dir.path(), "sample some/run --compute_fid", &["ddgan eval some/run --inception FILE"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    fail(dir.path(), "sample empty", &["empty", "no run's folder"]);
    fs::write(dir.path().join("text"), "no checkpoint at all").unwrap();
    fail(dir.path(), "sample text", &["text", "not a whole safetensors file", "copy it again"]);
    fail(dir.path(), "verify text", &["text", "not a whole safetensors file"]);
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/generator_default.safetensors");
    fail(dir.path(), &format!("sample {fixture}"), &["generator_default", "no checkpoint"]);
    let mut config = ddgan::train::preset("digits").unwrap();
    config.generator.num_res_blocks = 1 << 30;
    let header = Header { format: FORMAT, step: 1, epoch: 0, seed: 0, pictures: None, updates: None, config };
    header.write(&dir.path().join("deep.safetensors"), &[]).unwrap();
    for verb in ["sample", "export --out x.safetensors", "train --resume"] {
        let words = ["deep.safetensors: its configuration", "generator.num_res_blocks is 1073741824"];
        fail(dir.path(), &format!("{verb} deep.safetensors"), &words);
    }
}

#[test]
fn a_training_that_diverges_keeps_what_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let wild = format!("train {TINY} --max_steps 9 --lr_g 1e30 --checkpoint-every 1 --outdir run");
    fail(dir.path(), &wild, &["step ", "loss_", "lr_g"]);
    succeed(dir.path(), "export run --raw --out whole.safetensors");
    fail(dir.path(), "sample run --raw --count 1 --out x.png", &["not finite", "--step"]);
}

#[test]
fn usage_errors_have_code_2_and_suggest() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, word) in [
        ("train --lr-gg 1", "--lr-g"),
        ("train digit", "digits"),
        ("train --resblock-type gan", "biggan_oneadagn"),
        ("train --max-minutes soon", "minutes"),
        ("train --max-minutes -1", "0 or more"),
        ("train --batch-size -3", "'-3' for '--batch-size"),
        ("sample run --seed -1", "'-1' for '--seed"),
        ("sample", "RUN"),
        ("verify", "FILE"),
        ("trian", "train"),
    ] {
        let output = ddgan(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(word), "{arguments}: {}", stderr(&output));
    }
    let help = succeed(dir.path(), "train --help");
    assert!(help.contains("stackmnist") && help.contains("--r1-gamma"), "{help}");
}

#[test]
fn verify_tells_and_judges() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/discriminator_small.safetensors");
    let said = succeed(dir.path(), &format!("verify {fixture}"));
    assert!(said.contains("r1_grad") && said.contains("within tolerance"), "{said}");
    fail(dir.path(), &format!("verify {fixture} --tolerance-grad 1e-12"), &["over tolerance"]);
}
