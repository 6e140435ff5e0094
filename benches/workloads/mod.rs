//! The work that benches time: the published 32x32 networks and whole training steps, at several sizes, and the network
//! that judges pictures.

use std::hint::black_box;

use anyhow::Result;
use ddgan::autograd::{Var, no_grad};
use ddgan::diffusion::{Process, ScheduleConfig};
use ddgan::models::{DiscriminatorConfig, Generator, GeneratorConfig, Inception};
use ddgan::nn::Timesteps;
use ddgan::sample;
use ddgan::tensor::{DType, Device, Key, Tensor, normal, stream};
use ddgan::train::{TrainConfig, Trainer, preset};

/// Every workload by name: w is the generator's width, b the batch.
pub const WORKLOADS: [(&str, Build); 11] = [
    ("forward_w128_b16", || forward(128, 16)),
    ("forward_w32_b16", || forward(32, 16)),
    ("forward_w128_b1", || forward(128, 1)),
    ("sample4_w128_b16", || sample_4_steps(128, 16)),
    ("train_w128_b16", || train(published(128, 64, 16), NO_R1)),
    ("train_r1_w128_b16", || train(published(128, 64, 16), R1_GAMMA)),
    ("train_w32_b64", || train(published(32, 32, 64), NO_R1)),
    ("train_r1_w32_b64", || train(published(32, 32, 64), R1_GAMMA)),
    ("train_digits", || train(preset("digits")?, NO_R1)),
    ("train_r1_digits", || train(preset("digits")?, R1_GAMMA)),
    ("inception_b20", || inception(20)),
];

/// Makes what a workload needs, and gives what is to be timed.
pub type Build = fn() -> Result<Box<dyn FnMut() -> Result<()>>>;

const NO_R1: f64 = 0.0;
const R1_GAMMA: f64 = 0.02;
const NUM_TIMESTEPS: usize = 4;

/// The network published for CIFAR-10, at some width.
fn generator(width: usize) -> GeneratorConfig {
    GeneratorConfig { num_channels_dae: width, n_mlp: 4, ..GeneratorConfig::default() }
}

fn noise(shape: &[usize], what: &str) -> Tensor {
    normal(shape, Key { seed: 0, stream: stream(what, 0) }, DType::F32, &Device::Cpu)
        .expect("the CPU has no errors of its own")
}

fn forward(width: usize, batch: usize) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let config = generator(width);
    let generator = Generator::new(&config, 0, DType::F32, &Device::Cpu)?;
    let x = Var::constant(noise(&[batch, config.image_size, config.image_size, config.num_channels], "x"));
    let t = Timesteps::Index((0..batch).map(|i| i % NUM_TIMESTEPS).collect());
    let z = Var::constant(noise(&[batch, config.nz], "z"));
    Ok(Box::new(move || {
        black_box(no_grad(|| generator.forward(&x, &t, &z))?);
        Ok(())
    }))
}

/// The features that FID compares, whatever the weights.
fn inception(batch: usize) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let zeros = Inception::outline().into_iter().map(|param| Tensor::zeros(param.shape(), DType::F32, &Device::Cpu));
    let network = Inception::new(zeros.collect::<ddgan::Result<_>>()?, &Device::Cpu)?;
    let pictures = noise(&[batch, Inception::SIDE, Inception::SIDE, 3], "pictures");
    Ok(Box::new(move || {
        black_box(network.forward(&pictures)?);
        Ok(())
    }))
}

fn sample_4_steps(width: usize, batch: u64) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let generator = Generator::new(&generator(width), 0, DType::F32, &Device::Cpu)?;
    let process = Process::new(&schedule())?;
    Ok(Box::new(move || {
        black_box(sample::draw(&generator, &process, 0, 0..batch, DType::F32, &Device::Cpu)?);
        Ok(())
    }))
}

/// The published training for CIFAR-10 at some widths, of the generator and of the discriminator.
fn published(width: usize, ngf: usize, batch_size: usize) -> TrainConfig {
    TrainConfig {
        batch_size,
        lr_g: 1.6e-4,
        lr_d: 1.25e-4,
        schedule: schedule(),
        generator: generator(width),
        discriminator: DiscriminatorConfig { ngf, ..DiscriminatorConfig::default() },
        ..TrainConfig::default()
    }
}

/// Whole iterations: the random inputs, the discriminator's step and update, the generator's, the moving average.
fn train(config: TrainConfig, r1_gamma: f64) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let config = TrainConfig { r1_gamma, lazy_reg: 1, ..config };
    let GeneratorConfig { image_size, num_channels, .. } = config.generator;
    let real = noise(&[config.batch_size, image_size, image_size, num_channels], "real");
    let mut trainer = Trainer::new(&config, DType::F32, &Device::Cpu)?;
    Ok(Box::new(move || {
        trainer.step(&trainer.draw_inputs(real.clone())?, [config.lr_g, config.lr_d])?;
        Ok(())
    }))
}

fn schedule() -> ScheduleConfig {
    ScheduleConfig { num_timesteps: NUM_TIMESTEPS, ..ScheduleConfig::default() }
}
