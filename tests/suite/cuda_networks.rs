//! Whole networks on a GPU, or on the stand-in: golden fixtures, training, resuming, sampling.

use ddgan::sample;
use ddgan::tensor::{DType, Device};
use ddgan::testing::closeness::relative_error;
use ddgan::testing::parity::VERSIONS;
use ddgan::testing::verify::{Tolerances, verify};
use ddgan::train::Trainer;

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
        let of = |l: &ddgan::train::Losses| [l.discriminator.real, l.discriminator.fake, l.generator];
        for (got, want) in of(got).into_iter().zip(of(want)) {
            assert!((got - want).abs() < 1e-3 * want.abs(), "step {i}: {got}, want {want}");
        }
    }
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
