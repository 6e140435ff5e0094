//! What a command line asks for: presets, files, `--set`, our flags and the published ones.

use std::fs;
use std::path::Path;

use ddgan::train::{TrainConfig, preset, published_defaults};

use crate::program::{TINY, command, ddgan, fail, stderr, stdout, succeed};

/// The configuration that `ddgan train FLAGS` would train, and what it says about it.
fn resolve(folder: &Path, flags: &str) -> (TrainConfig, String) {
    let output = ddgan(folder, &format!("train {flags} --dry-run"));
    assert!(output.status.success(), "{flags}: {}", stderr(&output));
    assert_eq!(fs::read_dir(folder).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(), 0);
    (TrainConfig::from_toml(&stdout(&output)).unwrap(), stdout(&output) + &stderr(&output))
}

fn config(flags: &str) -> TrainConfig {
    resolve(tempfile::tempdir().unwrap().path(), flags).0
}

const REPORT: &str = "--dataset stackmnist --exp ddgan_MNIST0_exp1 --num_channels 3 --num_channels_dae 128 \
    --num_timesteps 4 --num_res_blocks 2 --batch_size 64 --num_epoch 100 --ngf 64 --nz 100 --z_emb_dim 256 --n_mlp 4 \
    --embedding_type positional --r1_gamma 0.02 --lr_d 1.25e-4 --lr_g 1.6e-4 --lazy_reg 15 --num_process_per_node 1 \
    --ch_mult 1 2 2 2 --save_content";
const CIFAR10: &str = "--dataset cifar10 --exp ddgan_cifar10_exp1 --num_channels 3 --num_channels_dae 128 \
    --num_timesteps 4 --num_res_blocks 2 --batch_size 64 --num_epoch 1800 --ngf 64 --nz 100 --z_emb_dim 256 --n_mlp 4 \
    --embedding_type positional --use_ema --ema_decay 0.9999 --r1_gamma 0.02 --lr_d 1.25e-4 --lr_g 1.6e-4 \
    --lazy_reg 15 --num_process_per_node 4 --ch_mult 1 2 2 2 --save_content";
const CELEBA: &str = "--dataset celeba_256 --image_size 256 --exp ddgan_celebahq_exp1 --num_channels 3 \
    --num_channels_dae 64 --ch_mult 1 1 2 2 4 4 --num_timesteps 2 --num_res_blocks 2 --batch_size 4 --num_epoch 800 \
    --ngf 64 --embedding_type positional --use_ema --r1_gamma 2. --z_emb_dim 256 --lr_d 1e-4 --lr_g 2e-4 \
    --lazy_reg 10 --num_process_per_node 8 --save_content";
const LSUN: &str = "--dataset lsun --image_size 256 --exp ddgan_lsun_exp1 --num_channels 3 --num_channels_dae 64 \
    --ch_mult 1 1 2 2 4 4 --num_timesteps 4 --num_res_blocks 2 --batch_size 8 --num_epoch 500 --ngf 64 \
    --embedding_type positional --use_ema --ema_decay 0.999 --r1_gamma 1. --z_emb_dim 256 --lr_d 1e-4 --lr_g 1.6e-4 \
    --lazy_reg 10 --num_process_per_node 8 --save_content";

#[test]
fn published_commands_ask_for_what_they_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (report, said) = resolve(dir.path(), REPORT);
    assert_eq!(report, TrainConfig { use_ema: false, major_every: 20, ..preset("stackmnist").unwrap() });
    assert!(said.contains("# Folder: saved_info/dd_gan/stackmnist/ddgan_MNIST0_exp1"), "{said}");
    assert!(said.contains("generator 48432515, discriminator 12741633"), "{said}");
    for (flags, name, batch) in
        [(CIFAR10, "cifar10", "4 x 64 = 256"), (CELEBA, "celeba256", "8 x 4 = 32"), (LSUN, "lsun256", "8 x 8 = 64")]
    {
        let (config, said) = resolve(dir.path(), flags);
        assert_eq!(config, preset(name).unwrap());
        assert!(said.contains(batch), "{said}");
    }
    let bare = config("--dataset cifar10 --num_proc_node 1 --node_rank 0 --local_rank 0 --master_address 127.0.0.1");
    assert_eq!(bare, published_defaults("cifar10").unwrap());
    assert_eq!(config("--dataset cifar10 --save_ckpt_every 7 --save_content_every 3").major_every, 7);
    // A data set may be a path; the folder of a run is never in it.
    let said = resolve(dir.path(), "--dataset /some/pictures.zip --exp one").1;
    assert!(said.contains("# Folder: saved_info/dd_gan/pictures.zip/one"), "{said}");
    assert!(resolve(dir.path(), "--dataset /some/pictures.zip").1.contains("runs/NNNNN-pictures.zip"));
    // Data sets of our own have no published defaults, but a preset.
    assert_eq!(config("--dataset mnist"), preset("mnist").unwrap());
}

#[test]
fn the_published_folder_is_used_and_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let train = format!("train --dataset digits --exp one {TINY} --num_process_per_node 1 --save_content");
    let said = succeed(dir.path(), &format!("{train} --max_steps 1"));
    assert!(said.contains("saved_info/dd_gan/digits/one"), "{said}");
    assert!(dir.path().join("saved_info/dd_gan/digits/one/samples.png").is_file());
    let said = succeed(dir.path(), &format!("{train} --max_steps 2 --resume"));
    assert!(said.contains("2 steps done") && said.contains("saved_info/dd_gan/digits/one"), "{said}");
    fail(dir.path(), &format!("{train} --max_steps 1"), &["saved_info/dd_gan/digits/one", "--resume"]);
}

#[test]
fn more_processes_than_one_are_errors_that_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for flags in ["--num_proc_node 2", "--node_rank 1", "--local_rank 3"] {
        fail(dir.path(), &format!("train --dataset cifar10 {flags} -n"), &[flags, "one process", "--batch_size"]);
    }
    // The batch of a preset is that of all processes.
    fail(dir.path(), "train cifar10 --num_process_per_node 4 -n", &["one process", "256"]);
}

/// In the published program these switch off.
#[test]
fn inverted_flags_keep_their_published_meaning_and_warn() {
    type Get = fn(&TrainConfig) -> bool;
    let switches: [(&str, Get); 5] = [
        ("fir", |c| c.generator.fir),
        ("skip_rescale", |c| c.generator.skip_rescale),
        ("resamp_with_conv", |c| c.generator.resamp_with_conv),
        ("conditional", |c| c.generator.conditional),
        ("centered", |c| c.generator.centered),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, get) in switches {
        let dashed = name.replace('_', "-");
        let ask = |flags: &str| {
            let (config, said) = resolve(dir.path(), flags);
            (get(&config), said.matches("warning: ").count())
        };
        assert_eq!(ask(""), (true, 0), "{name}");
        assert_eq!(ask(&format!("--{name}")), (false, 1), "{name}");
        assert_eq!(ask(&format!("--{name} --{name}")), (false, 1), "{name}");
        assert_eq!(ask(&format!("--no-{dashed}")), (false, 0), "{name}");
        assert_eq!(ask(&format!("--no_{name} --use-{dashed}")), (true, 0), "{name}");
        assert_eq!(ask(&format!("--{name} --use_{name}")), (true, 0), "{name}");
        if dashed != name {
            assert_eq!(ask(&format!("--no-{dashed} --{dashed}")), (true, 0), "{name}");
        }
    }
    let all = switches.map(|(name, _)| format!("--{name}")).join(" ");
    assert_eq!(resolve(dir.path(), &all).1.matches("warning: ").count(), 5);
}

#[test]
fn of_what_sets_the_same_key_the_last_counts() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), "seed = 1\nbatch_size = 2\nnum_epoch = 3\n[generator]\nnz = 4\n").unwrap();
    let flags = "mnist --config a.toml --set batch_size=5 --set num_epoch=6 --set num_epoch=7 --num-epoch 8";
    let (config, said) = resolve(dir.path(), flags);
    let mut want = TrainConfig { seed: 1, batch_size: 5, num_epoch: 8, ..preset("mnist").unwrap() };
    want.generator.nz = 4;
    assert_eq!(config, want);
    assert!(said.contains("# From: preset mnist, a.toml, batch_size=5, num_epoch=6, num_epoch=7, flags"), "{said}");
    // A file that names its data set starts from that one's preset.
    fs::write(dir.path().join("b.toml"), "dataset = \"cifar10\"").unwrap();
    assert_eq!(resolve(dir.path(), "--config b.toml").0, preset("cifar10").unwrap());
    // What is printed is a file.
    fs::write(dir.path().join("c.toml"), said).unwrap();
    assert_eq!(resolve(dir.path(), "--config c.toml").0, want);
}

#[test]
fn a_runs_configuration_starts_another_run() {
    let dir = tempfile::tempdir().unwrap();
    succeed(dir.path(), &format!("train {TINY} --seed 8 --max_steps 1 --outdir run"));
    for file in ["run", "run/config.toml"] {
        let output = stdout(&ddgan(dir.path(), &format!("train --config {file} -n")));
        assert_eq!(TrainConfig::from_toml(&output).unwrap().seed, 8, "{output}");
        assert!(output.contains("runs/NNNNN-digits"), "{output}");
    }
}

#[test]
fn wrong_keys_files_and_flags_are_errors_with_a_suggestion() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), "seed = 1\n\n[generator]\nnum_chanels_dae = 4\n").unwrap();
    let expected = ["a.toml", "line 4", "num_chanels_dae = 4\n  | ^^^^^^^^^^^^^^^", "`generator.num_channels_dae`?"];
    fail(dir.path(), "train --config a.toml", &expected);
    fs::write(dir.path().join("b.toml"), [0xff, 0xfe]).unwrap();
    fail(dir.path(), "train --config b.toml", &["b.toml", "not a text file"]);
    fail(dir.path(), "train --config nowhere.toml", &["nowhere.toml"]);
    fail(dir.path(), "train --set lrg=1", &["--set", "`lrg=1`", "`lr_g`?"]);
    fail(dir.path(), "train --set generator.nz=-1", &["generator.nz", "whole number"]);
    fail(dir.path(), "train --dry-run --batch_size 0", &["batch_size is 0"]);
    fail(dir.path(), "train --seed 18446744073709551615", &["seed is 18446744073709551615"]);
    fail(dir.path(), "train --r1-gamma -1", &["r1_gamma is -1"]);
    fail(dir.path(), "train --batch_size 1000000", &["memory", "batch_size 1000000", "--grad-accum"]);
    fail(dir.path(), "train --batch_size 1000000 --image-size 4096", &["memory", "not even a single picture"]);
    fail(dir.path(), "train --num_channels_dae 65536 --batch_size 1", &["memory", "generator.num_channels_dae"]);
    for (arguments, word) in [
        ("train --skip-rescal", "--skip-rescale"),
        ("train --num_timestep 4", "--num-timesteps"),
        ("train cifar", "cifar10"),
        ("train --exp a --outdir b", "cannot be used with"),
        ("train --config", "FILE"),
        ("completions tcsh", "bash"),
    ] {
        let output = ddgan(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(word), "{arguments}: {}", stderr(&output));
    }
}

#[test]
fn help_completions_and_manual() {
    let dir = tempfile::tempdir().unwrap();
    let (short, long) = (succeed(dir.path(), "train -h"), succeed(dir.path(), "train --help"));
    assert!(short.contains("celeba256") && short.contains("--batch-size") && !short.contains("--fourier-scale"));
    assert!(long.contains("--fourier-scale") && long.contains("switches OFF") && long.contains("--no-fir: do not"));
    let whole = succeed(dir.path(), "--help");
    assert!(whole.contains("Judge and compare:\n  eval ") && whole.contains("--threads <N>"), "{whole}");
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef ddgan"), ("fish", "complete -c ddgan")] {
        let script = succeed(dir.path(), &format!("completions {shell}"));
        assert!(script.contains(word) && script.contains("r1-gamma"), "{shell}");
    }
    assert!(succeed(dir.path(), "man").contains(".TH ddgan 1"));
    assert!(succeed(dir.path(), "man train").contains("r1\\-gamma"));
    fail(dir.path(), "man trian", &["trian", "train, train-classifier, sample"]);
    assert!(succeed(dir.path(), "man data fetch").contains("ddgan\\-data\\-fetch"));
    succeed(dir.path(), "man --outdir pages");
    assert!(fs::read_to_string(dir.path().join("pages/ddgan-train.1")).unwrap().contains("ddgan\\-train"));
}

#[test]
fn where_nobody_reads_nothing_breaks() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schedule_T4_vp.safetensors");
    for arguments in ["completions bash", "man train", "train -n --fir", "doctor", &format!("verify {fixture}")] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(dir.path(), arguments);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        assert!(command.status().unwrap().success(), "{arguments}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(command(dir.path(), "man nothing").stderr(writer).status().unwrap().code(), Some(1));
    if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
        for arguments in ["man train".to_string(), format!("verify {fixture}")] {
            let output = command(dir.path(), &arguments).stdout(full.try_clone().unwrap()).output().unwrap();
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments}: {said}");
            assert!(said.contains("error: cannot write to stdout") && said.contains("No space left"), "{said}");
        }
    }
}

#[test]
fn no_color_means_no_colour() {
    let dir = tempfile::tempdir().unwrap();
    let escapes = |no_color: Option<&str>| {
        let mut command = command(dir.path(), "train --lr-gg 1");
        command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
        let output = command.envs(no_color.map(|value| ("NO_COLOR", value))).output().unwrap();
        stderr(&output).contains('\x1b')
    };
    assert!(escapes(None));
    assert!(!escapes(Some("1")));
}
