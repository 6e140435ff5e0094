//! The work that benches time: the published 32x32 networks and whole training steps, at several sizes, and the network
//! that judges pictures. Every run ends when the device is done.

mod place;

use std::hint::black_box;

use anyhow::Result;
use ddgan::autograd::{Var, no_grad};
use ddgan::diffusion::{Process, ScheduleConfig};
use ddgan::models::{DiscriminatorConfig, Generator, GeneratorConfig, Inception};
use ddgan::nn::Timesteps;
use ddgan::sample::{Draw, SampleId, Sampler};
use ddgan::tensor::{DType, Key, Tensor, normal, stream};
use ddgan::train::{TrainConfig, Trainer, preset};
pub use place::Place;

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

/// What only a GPU is given, and what is enough to try whether it runs at all.
#[allow(dead_code)] // not all benches have a use for it
pub const LARGE_WORKLOADS: [(&str, Build); 2] =
    [("sample4_w128_b100", || sample_4_steps(128, 100)), ("train_w128_b64", || train(published(128, 64, 64), NO_R1))];
#[allow(dead_code)] // not all benches have a use for it
pub const TRIAL: (&str, Build) = ("forward_w8_b1", || forward(8, 1));

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
    normal(shape, Key { seed: 0, stream: stream(what, 0) }, DType::F32, &Place::get().device).expect("room for noise")
}

fn forward(width: usize, batch: usize) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let config = generator(width);
    let place = Place::get();
    let generator = Generator::new(&config, 0, place.dtype(), &place.device)?;
    let x = Var::constant(noise(&[batch, config.image_size, config.image_size, config.num_channels], "x"));
    let t = Timesteps::Index((0..batch).map(|i| i % NUM_TIMESTEPS).collect());
    let z = Var::constant(noise(&[batch, config.nz], "z"));
    Ok(Box::new(move || {
        black_box(no_grad(|| generator.forward(&x, &t, &z))?);
        Ok(place.device.synchronize()?)
    }))
}

/// The features that FID compares, whatever the weights.
fn inception(batch: usize) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let device = &Place::get().device;
    let zeros = Inception::outline().into_iter().map(|param| Tensor::zeros(param.shape(), DType::F32, device));
    let network = Inception::new(zeros.collect::<ddgan::Result<_>>()?, device)?;
    let pictures = noise(&[batch, Inception::SIDE, Inception::SIDE, 3], "pictures");
    Ok(Box::new(move || {
        black_box(network.forward(&pictures)?);
        Ok(device.synchronize()?)
    }))
}

fn sample_4_steps(width: usize, batch: u64) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let place = Place::get();
    // They are there for good: what is timed may last as long as the program.
    let generator = Box::leak(Box::new(Generator::new(&generator(width), 0, place.dtype(), &place.device)?));
    let process = Box::leak(Box::new(Process::new(&schedule())?));
    let sampler = Sampler::new(generator, process, DType::F32, place.device.clone());
    let draws: Vec<Draw> = (0..batch).map(|index| Draw::Plain(SampleId { seed: 0, index })).collect();
    Ok(Box::new(move || {
        black_box(sampler.draw(&draws)?);
        Ok(place.device.synchronize()?)
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
    let place = Place::get();
    let config = TrainConfig { r1_gamma, lazy_reg: 1, precision: place.precision, ..config };
    let GeneratorConfig { image_size, num_channels, .. } = config.generator;
    let real = noise(&[config.batch_size, image_size, image_size, num_channels], "real");
    let mut trainer = Trainer::new(&config, DType::F32, &place.device)?;
    Ok(Box::new(move || {
        trainer.step(&trainer.draw_inputs(real.clone())?, [config.lr_g, config.lr_d])?;
        Ok(place.device.synchronize()?)
    }))
}

fn schedule() -> ScheduleConfig {
    ScheduleConfig { num_timesteps: NUM_TIMESTEPS, ..ScheduleConfig::default() }
}
