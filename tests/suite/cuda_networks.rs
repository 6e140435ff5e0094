//! Whole networks on a GPU, or on the stand-in: golden fixtures, training, resuming, sampling.

use ddgan::autograd::Var;
use ddgan::models::{Discriminator, Generator};
use ddgan::nn::Timesteps;
use ddgan::profile::{Ceilings, Part, ProfileOptions, profile};
use ddgan::sample;
use ddgan::tensor::{DType, Device, Key, Precision, normal};
use ddgan::testing::closeness::relative_error;
use ddgan::testing::parity::VERSIONS;
use ddgan::testing::verify::{Tolerances, verify};
use ddgan::train::{Losses, TrainConfig, Trainer};

use crate::cuda::gpu;
use crate::fixtures::fixture;
use crate::training::{parameters, step, tiny};

/// What another implementation computed, on the GPU: in the tolerances of the CPU.
macro_rules! fixtures {
    ($($name:ident: $file:literal,)*) => {$(
        #[test]
        fn $name() {
            let Some(device) = gpu(VERSIONS) else { return };
            let report = verify(fixture(concat!($file, ".safetensors")), DType::F32, &device).unwrap();
            assert!(!report.groups.is_empty());
            let failures = report.failures(&Tolerances::default());
            assert!(failures.is_empty(), "{failures:?}");
        }
    )*};
}

fixtures! {
    generator_default: "generator_default",
    generator_ddpm_block: "generator_ddpm_block",
    generator_fourier: "generator_fourier",
    generator_no_fir_gray: "generator_no_fir_gray",
    generator_one_adagn: "generator_one_adagn",
    generator_output_skip: "generator_output_skip",
    content_generator: "content_generator",
    netg_25_generator: "netG_25_generator",
    discriminator_small: "discriminator_small",
    discriminator_large: "discriminator_large",
    sampling: "sample_T4",
    train_step: "train_step_small",
}

/// Both halves of the step with R1 in one of them, the same losses as on the CPU.
#[test]
fn a_tiny_training_goes_as_on_the_cpu() {
    let Some(device) = gpu(VERSIONS) else { return };
    let run = |device: &Device| {
        let mut trainer = Trainer::new(&tiny(), DType::F32, device).unwrap();
        (0..4).map(|_| step(&mut trainer, 5)).collect::<Vec<_>>()
    };
    for (i, (got, want)) in run(&device).iter().zip(&run(&Device::Cpu)).enumerate() {
        for (got, want) in each(got).into_iter().zip(each(want)) {
            assert!((got - want).abs() < 1e-3 * want.abs(), "step {i}: {got}, want {want}");
        }
    }
}

fn each(losses: &Losses) -> [f64; 3] {
    [losses.discriminator.real, losses.discriminator.fake, losses.generator]
}

/// Beside the same networks in f32: with parameters that are cast where they are used, as a training has them, and with
/// parameters that are bf16, as for sampling.
#[test]
fn networks_in_bf16_are_near_those_in_f32() {
    let Some(device) = gpu(VERSIONS) else { return };
    let config = tiny();
    let draw =
        |shape: &[usize], stream| Var::constant(normal(shape, Key { seed: 2, stream }, DType::F32, &device).unwrap());
    let t = Timesteps::Index(vec![0, 2, 1]);
    let [x, x_next, z] = [draw(&[3, 16, 16, 1], 0), draw(&[3, 16, 16, 1], 1), draw(&[3, config.generator.nz], 2)];
    let generator = |dtype| Generator::new(&config.generator, 3, dtype, &device).unwrap();
    let discriminator = |dtype| Discriminator::new(&config.discriminator, 3, dtype, &device).unwrap();
    let run = |generator: Generator, discriminator: Discriminator| {
        let (x0, logits) = (generator.forward(&x, &t, &z).unwrap(), discriminator.forward(&x, &t, &x_next).unwrap());
        assert_eq!((x0.dtype(), logits.dtype()), (DType::F32, DType::F32));
        [x0.value().to_f64(), logits.value().to_f64()]
    };
    let want = run(generator(DType::F32), discriminator(DType::F32));
    for (how, parameters) in [("cast", DType::F32), ("bf16", DType::BF16)] {
        let (generator, discriminator) = (generator(parameters), discriminator(parameters));
        let got = run(generator.computing_in(DType::BF16), discriminator.computing_in(DType::BF16));
        for (got, want) in got.iter().zip(&want) {
            let error = relative_error(got, want, 0.0);
            // It does compute in bf16, and well.
            assert!((1e-4..2e-2).contains(&error), "parameters {how}: {error:e}");
        }
    }
}

/// A step with R1 among them. What is saved is f32, and a training in f32 continues from it.
#[test]
fn a_tiny_training_in_bf16_goes_about_as_in_f32() {
    let Some(device) = gpu(VERSIONS) else { return };
    let run = |precision| {
        let mut trainer = Trainer::new(&TrainConfig { precision, ..tiny() }, DType::F32, &device).unwrap();
        let losses = (0..4).map(|_| step(&mut trainer, 5)).collect::<Vec<_>>();
        (trainer, losses)
    };
    let ((trainer, got), (_, want)) = (run(Precision::Bf16), run(Precision::F32));
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        for (got, want) in each(got).into_iter().zip(each(want)) {
            assert!((got - want).abs() < 3e-2 * want.abs(), "step {i}: {got}, in f32 {want}");
        }
    }
    assert_eq!(trainer.generator().params()[0].value().dtype(), DType::F32);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    trainer.snapshot(0).write(&path).unwrap();
    let mut on_cpu = Trainer::new(&tiny(), DType::F32, &Device::Cpu).unwrap();
    on_cpu.restore(&path).unwrap();
    assert_eq!(parameters(&on_cpu), parameters(&trainer));
}

/// Every operation with its kernels, whose time the GPU's own clock takes.
#[test]
fn a_profile_has_the_kernels_of_every_operation() {
    let Some(device) = gpu(VERSIONS) else { return };
    let ceilings = Ceilings { bytes_per_second: 1e12, flops_per_second: 1e14 };
    let options = ProfileOptions { batch: 2, runs: 1, device, ceilings };
    let config = TrainConfig { precision: Precision::Bf16, ..tiny() };
    let profile = profile(Part::Denoise, &config, &options).unwrap();
    for row in &profile.rows {
        assert!(row.launches >= row.calls && !row.kernels.is_empty() && row.seconds > 0.0, "{row:?}");
        let sum: f64 = row.kernels.iter().map(|(_, seconds)| seconds).sum();
        assert!((sum - row.seconds).abs() < 1e-9 + 1e-6 * sum, "{row:?}");
    }
    assert!(profile.total(|row| row.seconds) <= profile.wall_seconds);
    assert!(profile.rows.iter().any(|row| row.operation == "attention::forward"));
}

/// Stopped, saved, and continued by another trainer: the same bits as without.
#[test]
fn a_training_resumes_bit_for_bit() {
    let Some(device) = gpu(VERSIONS) else { return };
    let trainer = || Trainer::new(&tiny(), DType::F32, &device).unwrap();
    let mut unbroken = trainer();
    let mut first = trainer();
    for _ in 0..2 {
        step(&mut unbroken, 5);
        step(&mut first, 5);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    first.snapshot(0).write(&path).unwrap();
    let mut second = trainer();
    second.restore(&path).unwrap();
    for _ in 0..2 {
        step(&mut unbroken, 5);
        step(&mut second, 5);
    }
    assert_eq!(parameters(&unbroken), parameters(&second));
}

/// Pictures of one seed are the same on both, to the rounding of f32.
#[test]
fn a_seed_gives_the_pictures_of_the_cpu() {
    let Some(device) = gpu(VERSIONS) else { return };
    let draw = |device: &Device| {
        let trainer = Trainer::new(&tiny(), DType::F32, device).unwrap();
        let images = sample::draw(trainer.generator(), trainer.process(), 3, 0..5, DType::F32, device).unwrap();
        images.to_f64()
    };
    let (got, want) = (draw(&device), draw(&Device::Cpu));
    // Networks begin with almost nothing, but not with nothing.
    assert!(want.iter().all(|x| *x != 0.0));
    let error = relative_error(&got, &want, 0.0);
    assert!(error < 1e-3, "{error:e}");
}
