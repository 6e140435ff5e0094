//! Generators and trainings of PyTorch, taken over and given back by the program.

use std::fs;
use std::path::{Path, PathBuf};

use ddgan::autograd::Var;
use ddgan::checkpoint::pth::Pth;
use ddgan::checkpoint::published::from_published;
use ddgan::checkpoint::safetensors::Reader;
use ddgan::checkpoint::{Header, Tensors, newest};
use ddgan::nn::Param;
use ddgan::tensor::{DType, Device};
use ddgan::train::{Import, TrainConfig, Trainer};
use tempfile::TempDir;

use crate::program::{ddgan, fail, stderr, succeed};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A folder with fixtures in it.
fn folder(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        fs::copy(fixture(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn values(params: &[Param], name: &str) -> Vec<f64> {
    params.iter().find(|param| param.name() == name).unwrap().value().to_f64()
}

/// A trainer that has been imported, saved and restored.
fn imported(dir: &Path) -> Trainer {
    let import = Import::read(&fixture("content.pth"), &TrainConfig::default(), &|_| {}).unwrap();
    let run = import.save(Some(&dir.join("run")), "").unwrap();
    let mut trainer = Trainer::new(import.config(), DType::F32, &Device::Cpu).unwrap();
    trainer.restore(&newest(run.path()).unwrap()).unwrap();
    trainer
}

#[test]
fn the_configuration_comes_along() {
    let dir = tempfile::tempdir().unwrap();
    let trainer = imported(dir.path());
    let config = trainer.config();
    assert_eq!((trainer.step_number(), &config.dataset[..]), (1234, "stackmnist"));
    assert_eq!((config.lr_g, config.lr_d, config.beta1, config.beta2), (1.6e-4, 1.25e-4, 0.5, 0.9));
    assert_eq!((config.num_epoch, config.use_ema, config.schedule.num_timesteps), (100, true, 4));
    let (generator, discriminator) = (&config.generator, &config.discriminator);
    assert_eq!((generator.image_size, &generator.attn_resolutions[..], generator.nz), (16, &[8][..], 12));
    assert_eq!((discriminator.ngf, discriminator.t_emb_dim, discriminator.num_channels), (3, 16, 3));
    let written = fs::read_to_string(dir.path().join("run/config.toml")).unwrap();
    assert_eq!(TrainConfig::from_toml(&written).unwrap(), *config);
}

/// The next update of every parameter is the one that follows from the file: its moments, its number of updates, its
/// average.
#[test]
fn adam_and_the_average_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut trainer = imported(dir.path());
    let pth = Pth::open(fixture("content.pth")).unwrap();
    let content = pth.content().unwrap().unwrap();
    // Any gradient will do.
    let gradients = trainer.generator().params().iter().map(|param| Some(Var::constant(param.value()))).collect();
    let lr = 0.5;
    trainer.update_generator(&gradients, lr).unwrap();

    let mut ema = content.average().unwrap().unwrap();
    let [mut m, mut v] = ["exp_avg", "exp_avg_sq"].map(|key| content.generator_optimizer.kept(key).unwrap());
    let mut raw = content.generator;
    let TrainConfig { beta1, beta2, ema_decay, .. } = *trainer.config();
    let steps = content.generator_optimizer.steps as i32 + 1;
    assert_eq!(steps, 2);
    for param in trainer.generator().params() {
        let name = param.name();
        let [w, average, m, v] =
            [&mut raw, &mut ema, &mut m, &mut v].map(|dict| from_published(name, &dict.read(name).unwrap()).to_f64());
        let (new, new_average) = (param.value().to_f64(), values(trainer.averaged_generator().params(), name));
        for i in 0..w.len() {
            let g = w[i];
            let m = beta1 * m[i] + (1.0 - beta1) * g;
            let v = beta2 * v[i] + (1.0 - beta2) * g * g;
            let (m_hat, v_hat) = (m / (1.0 - beta1.powi(steps)), v / (1.0 - beta2.powi(steps)));
            let want = w[i] - lr * m_hat / (v_hat.sqrt() + 1e-8);
            let want_average = ema_decay * average[i] + (1.0 - ema_decay) * want;
            assert!((new[i] - want).abs() < 1e-4 * (1.0 + want.abs()), "{name}: {} for {want}", new[i]);
            let error = (new_average[i] - want_average).abs();
            assert!(error < 1e-6 * (1.0 + want_average.abs()), "{name}: {} for {want_average}", new_average[i]);
        }
    }
}

#[test]
fn a_training_goes_on_from_content() {
    let dir = folder(&["content.pth"]);
    // Pictures that fit the networks.
    succeed(dir.path(), "sample content.pth --count 6 --out pictures");
    let output =
        ddgan(dir.path(), "import content.pth --outdir run --dataset pictures --batch_size 2 --num_epoch 1000");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("does not tell seed, batch_size"), "{}", stderr(&output));
    succeed(dir.path(), "train --resume run --max_steps 1236");
    let last = newest(&dir.path().join("run")).unwrap();
    assert!(last.ends_with("step-001236.safetensors"), "{}", last.display());
    let header: Header<TrainConfig> = Header::read(&Reader::open(&last).unwrap()).unwrap();
    // The file's optimizers had made one update.
    assert_eq!(header.updates, Some([3, 3]));
    fail(dir.path(), "import content.pth --outdir run", &["run", "not empty"]);
}

#[test]
fn generators_go_in_and_out() {
    let dir = folder(&["netG_25.pth", "content.pth"]);
    let bytes = |name: &str| fs::read(dir.path().join(name)).unwrap();
    let names = |file: &str| Reader::open(dir.path().join(file)).unwrap().names().len();
    let said = succeed(dir.path(), "import netG_25.pth");
    assert!(said.contains("ddgan sample netG_25.safetensors"), "{said}");
    fail(dir.path(), "import netG_25.pth", &["netG_25.safetensors", "already", "--out"]);
    succeed(dir.path(), "export netG_25.safetensors --out again.safetensors");
    assert!(bytes("again.safetensors") == bytes("netG_25.safetensors"));
    succeed(dir.path(), "sample netG_25.safetensors --count 1 --out a.npz");
    succeed(dir.path(), "sample netG_25.pth --count 1 --out b.npz");
    assert!(bytes("a.npz") == bytes("b.npz"));

    succeed(dir.path(), "import content.pth --outdir run");
    succeed(dir.path(), "export run --out averaged.safetensors");
    succeed(dir.path(), "import content.pth --out averaged_2.safetensors");
    assert!(bytes("averaged.safetensors") == bytes("averaged_2.safetensors"));
    succeed(dir.path(), "export run --raw --out raw.safetensors");
    assert!(bytes("averaged.safetensors") != bytes("raw.safetensors"));
    succeed(dir.path(), "export run --discriminator --out d.safetensors");
    assert_eq!((names("raw.safetensors"), names("d.safetensors")), (162, 38));
}

#[test]
fn options_that_a_file_does_not_tell() {
    let dir = folder(&["netG_25.pth"]);
    let import = |flags: &str| ddgan(dir.path(), &format!("import netG_25.pth --out {flags}"));
    let said = stderr(&import("a.safetensors"));
    assert!(said.contains("the published defaults") && said.contains("image_size 32, "), "{said}");
    let said = stderr(&import("b.safetensors --image-size 16 --num_timesteps 2"));
    assert!(said.contains("image_size 16, ") && said.contains("num_timesteps 2,"), "{said}");
    let said = stderr(&import("c.safetensors --preset celeba256"));
    assert!(said.contains("from preset celeba256: image_size 256, "), "{said}");
    fail(dir.path(), "import netG_25.pth --out d.safetensors --nz 3", &["netG_25.pth", "options that are given"]);
    fail(dir.path(), "import netG_25.pth --outdir run", &["no training", "--out"]);
    assert!(!dir.path().join("run").exists());
    fs::write(dir.path().join("evil.pth"), b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.\x80\x02].").unwrap();
    for verb in ["import evil.pth", "sample evil.pth", "export evil.pth --out e.safetensors"] {
        fail(dir.path(), verb, &["evil.pth", "calls posix.system", "Nothing of it was executed"]);
    }
}
