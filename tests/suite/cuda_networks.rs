//! Whole networks on a GPU, or on the stand-in: golden fixtures, training, resuming, sampling.

#[cfg(feature = "emulator")]
use ddgan::Error;
use ddgan::autograd::Var;
use ddgan::diffusion::Process;
use ddgan::models::ncsnpp::EmbeddingType;
use ddgan::models::{Discriminator, Generator, GeneratorConfig};
use ddgan::nn::Timesteps;
use ddgan::profile::{Ceilings, Part, ProfileOptions, profile};
use ddgan::sample::{self, Draw, SampleId, Sampler};
use ddgan::tensor::{DType, Device, Key, Precision, Tensor, normal};
use ddgan::testing::closeness::relative_error;
use ddgan::testing::parity::VERSIONS;
use ddgan::testing::verify::{Tolerances, verify};
use ddgan::train::{TrainConfig, Trainer};

use crate::cuda::gpu;
use crate::fixtures::fixture;
use crate::objectives::{self, variants};
use crate::training::{diverging, launch, numbers, parameters, pictures, step, tiny};

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
        for (got, want) in numbers(got).into_iter().zip(numbers(want)) {
            assert!((got - want).abs() < 1e-3 * want.abs(), "step {i}: {got}, want {want}");
        }
    }
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
        for (got, want) in numbers(got).into_iter().zip(numbers(want)) {
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

/// Stopped, saved, and continued by another trainer, which makes its first steps operation by operation while the
/// unbroken one launches them as graphs: the same bits as without.
#[test]
fn a_training_resumes_bit_for_bit() {
    let Some(device) = gpu(VERSIONS) else { return };
    let trainer = || Trainer::new(&tiny(), DType::F32, &device).unwrap();
    let mut unbroken = trainer();
    let mut first = trainer();
    for _ in 0..4 {
        step(&mut unbroken, 5);
        step(&mut first, 5);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    first.snapshot(0).write(&path).unwrap();
    let mut second = trainer();
    second.restore(&path).unwrap();
    for _ in 0..4 {
        assert_eq!(step(&mut unbroken, 5), step(&mut second, 5));
        assert!(unbroken.is_recorded());
    }
    assert!(second.is_recorded());
    assert!(parameters(&unbroken) == parameters(&second));
}

/// Both kinds of steps, a batch of another size in between, in bf16, in parts.
#[test]
fn recorded_steps_have_the_bits_of_their_operations() {
    let Some(device) = gpu(VERSIONS) else { return };
    let batches = [5, 5, 5, 5, 2, 5, 5, 5];
    for (config, batches) in [
        (tiny(), &batches[..]),
        (TrainConfig { precision: Precision::Bf16, lazy_reg: 1, ..tiny() }, &batches[..3]),
        (TrainConfig { grad_accum: 2, r1_gamma: 0.0, use_ema: false, ..tiny() }, &batches[2..6]),
    ] {
        let [mut recorded, mut by_step] = [0; 2].map(|_| Trainer::new(&config, DType::F32, &device).unwrap());
        by_step.step_by_step();
        // The kinds of steps that come first by themselves.
        let first = if config.lazy_reg > 1 && config.r1_gamma > 0.0 { 2 } else { 1 };
        for (i, &batch) in batches.iter().enumerate() {
            let [got, want] = [&mut recorded, &mut by_step].map(|trainer| step(trainer, batch));
            assert_eq!(got, want, "step {i}");
            assert!(parameters(&recorded) == parameters(&by_step), "step {i}");
            assert_eq!((recorded.is_recorded(), by_step.is_recorded()), (i >= first, false), "step {i}");
        }
        assert!(recorded.recording_failure().is_none());
    }
}

/// DDPMs, ablations and losses beyond the published ones: recorded too, and learning what they learn on the CPU.
#[test]
fn recorded_steps_of_every_method_have_the_bits_of_their_operations() {
    let Some(device) = gpu(VERSIONS) else { return };
    let (mut pictures, mut configs): (Vec<_>, Vec<_>) = variants().partition(|(name, _)| name.ends_with("pictures"));
    for (_, config) in &mut pictures {
        (config.generator.image_size, config.generator.attn_resolutions) = (8, vec![4]);
    }
    let ddpm = |(name, config): &(String, TrainConfig)| (format!("DDPM, {name}"), config.as_ddpm());
    configs.extend([ddpm(&configs[0]), ddpm(&pictures[0])]);
    let many = |name: &str| name.starts_with("all at once") || name.starts_with("one shot");
    configs.extend(pictures.into_iter().filter(|(name, _)| many(name)));
    configs.push(("in parts".into(), TrainConfig { grad_accum: 2, ..configs[0].1.as_ddpm() }));
    for (name, config) in configs {
        let trainer = |device: &Device| Trainer::new(&config, DType::F32, device).unwrap();
        let [mut recorded, mut by_step, mut on_cpu] = [&device, &device, &Device::Cpu].map(trainer);
        by_step.step_by_step();
        for i in 0..4 {
            let step = |trainer: &mut Trainer| {
                launch(trainer, objectives::pictures(&config, config.batch_size, DType::F64)).losses().unwrap()
            };
            let [got, want, of_cpu] = [&mut recorded, &mut by_step, &mut on_cpu].map(step);
            assert_eq!(got, want, "{name}: step {i}");
            assert!(parameters(&recorded) == parameters(&by_step), "{name}: step {i}");
            // Rounding grows from step to step.
            let close = (got.generator - of_cpu.generator).abs() < 2e-3 * of_cpu.generator.abs();
            assert!(i > 1 || close, "{name}: step {i}: {got:?}, on the CPU {of_cpu:?}");
        }
        assert!(recorded.recording_failure().is_none() && recorded.is_recorded(), "{name}");
    }
}

/// The losses of steps that were launched one after another, without waiting for any.
#[test]
fn losses_may_be_asked_for_late() {
    let Some(device) = gpu(VERSIONS) else { return };
    let trainer = || Trainer::new(&tiny(), DType::F32, &device).unwrap();
    let (mut late, mut at_once) = (trainer(), trainer());
    let pending: Vec<_> = (0..6).map(|_| launch(&mut late, pictures(5, DType::F32))).collect();
    for pending in pending {
        assert_eq!(pending.losses().unwrap(), step(&mut at_once, 5));
    }
}

#[test]
fn a_recorded_step_that_diverges_leaves_the_networks_as_they_were() {
    let Some(device) = gpu(VERSIONS) else { return };
    for at in [1, 4] {
        diverging(&device, at);
    }
}

/// What was saved, or is held, stays as it was, though recorded steps change the networks in place.
#[test]
fn recorded_steps_change_what_is_theirs_alone() {
    let Some(device) = gpu(VERSIONS) else { return };
    let [mut trainer, mut other] = [0; 2].map(|_| Trainer::new(&tiny(), DType::F32, &device).unwrap());
    for _ in 0..4 {
        step(&mut trainer, 5);
        step(&mut other, 5);
    }
    assert!(trainer.is_recorded());
    let (snapshot, before) = (trainer.snapshot(0), parameters(&trainer));
    step(&mut trainer, 5);
    assert!(trainer.is_recorded(), "a snapshot is no reason to record again");
    let held = trainer.generator().params()[3].value();
    let bits = held.to_f32();
    step(&mut trainer, 5);
    assert!(!trainer.is_recorded() && held.to_f32() == bits);
    step(&mut trainer, 5);
    assert!(trainer.is_recorded());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    snapshot.write(&path).unwrap();
    // Another state comes into a trainer that has recorded its own.
    other.restore(&path).unwrap();
    assert!(parameters(&other) == before);
    for _ in 0..3 {
        step(&mut other, 5);
    }
    assert!(parameters(&other) == parameters(&trainer));
}

#[test]
fn recorded_steps_allocate_nothing() {
    let Some(device) = gpu(VERSIONS) else { return };
    let mut trainer = Trainer::new(&tiny(), DType::F32, &device).unwrap();
    let allocated: Vec<usize> = (0..9)
        .map(|_| {
            step(&mut trainer, 5);
            device.allocated()
        })
        .collect();
    assert!(trainer.is_recorded());
    assert!(allocated[4..].iter().all(|&bytes| bytes == allocated[4]), "{allocated:?}");
}

/// Runs an ignored test in a process of its own, whose driver has other settings; what that says of itself.
#[cfg(feature = "emulator")]
fn alone(test: &str, settings: &[(&str, &str)]) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([&format!("cuda_networks::{test}"), "--exact", "--ignored", "--nocapture"]);
    let output = child.envs(settings.iter().copied()).output().unwrap();
    let [out, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success() && out.contains("1 passed"), "{out}{said}");
    said
}

/// All that the program waits for is, behind each launch, the losses of the step before.
#[cfg(feature = "emulator")]
#[test]
fn in_the_steady_state_steps_neither_allocate_nor_wait() {
    for lazy in ["0", "1"] {
        let said = alone("steps_in_the_steady_state", &[("EMULATOR_CALLS", "1"), ("EMULATOR_LAZY", lazy)]);
        let steady: Vec<&str> = said.split("== ").filter_map(|part| part.strip_prefix("steady\n")).collect();
        assert_eq!(steady.len(), 2, "{said}");
        for calls in steady {
            let calls: Vec<&str> = calls.lines().collect();
            assert_eq!(calls, ["[emulator] call cuEventSynchronize"; 6], "EMULATOR_LAZY={lazy}");
        }
        // Before, it did both.
        assert!(["cuMemAlloc\n", "cuMemHostAlloc\n"].iter().all(|call| said.contains(call)));
    }
}

#[cfg(feature = "emulator")]
#[test]
#[ignore = "in_the_steady_state_steps_neither_allocate_nor_wait runs it"]
fn steps_in_the_steady_state() {
    let device = gpu(VERSIONS).unwrap();
    for config in [tiny(), tiny().as_ddpm()] {
        let mut trainer = Trainer::new(&config, DType::F32, &device).unwrap();
        let mut before = launch(&mut trainer, pictures(5, DType::F32));
        let mut step = || {
            let next = launch(&mut trainer, pictures(5, DType::F32));
            std::mem::replace(&mut before, next).losses().unwrap();
        };
        (0..7).for_each(|_| step());
        eprintln!("== steady");
        (0..6).for_each(|_| step());
        eprintln!("== end");
        assert!(trainer.is_recorded());
    }
}

#[cfg(feature = "emulator")]
#[test]
fn recording_that_does_not_fit_is_done_without() {
    alone("on_a_small_gpu_steps_are_made_one_by_one", &[("EMULATOR_MEMORY_MB", "64")]);
}

#[cfg(feature = "emulator")]
#[test]
#[ignore = "recording_that_does_not_fit_is_done_without runs it"]
fn on_a_small_gpu_steps_are_made_one_by_one() {
    let device = gpu(VERSIONS).unwrap();
    let [mut full, mut by_step] = [0; 2].map(|_| Trainer::new(&tiny(), DType::F32, &device).unwrap());
    by_step.step_by_step();
    let want: Vec<_> = (0..4).map(|_| step(&mut by_step, 5)).collect();
    let got = [step(&mut full, 5), step(&mut full, 5)];
    // Steps can give back what they do not need any more; while they are recorded nothing can.
    let filler = fill(&device);
    assert_eq!([&got[..], &[step(&mut full, 5), step(&mut full, 5)]].concat(), want);
    let error = full.recording_failure().unwrap().to_string();
    assert!(!full.is_recorded() && error.contains("out of memory"), "{error}");
    assert!(full.recording_failure().is_none() && parameters(&full) == parameters(&by_step));
    drop((filler, full, by_step));

    // A batch of another size takes the memory of what is recorded if there is no other.
    let [mut recorded, mut by_step] = [0; 2].map(|_| Trainer::new(&tiny(), DType::F32, &device).unwrap());
    by_step.step_by_step();
    let sizes = [5, 5, 5, 2, 5];
    let want = sizes.map(|batch| step(&mut by_step, batch));
    let mut got: Vec<_> = sizes[..3].iter().map(|&batch| step(&mut recorded, batch)).collect();
    assert!(recorded.is_recorded());
    let filler = fill(&device);
    got.push(step(&mut recorded, sizes[3]));
    assert!(!recorded.is_recorded());
    drop(filler);
    got.push(step(&mut recorded, sizes[4]));
    assert!(recorded.is_recorded(), "{:?}", recorded.recording_failure());
    assert!(got == want && parameters(&recorded) == parameters(&by_step));
}

/// Takes all memory but for three quarters of what waits to be used again.
#[cfg(feature = "emulator")]
fn fill(device: &Device) -> Tensor {
    let allocated = device.allocated();
    let Err(Error::OutOfMemory { free, .. }) = Tensor::zeros([1 << 40], DType::F32, device) else { panic!() };
    let waited = allocated - device.allocated();
    Tensor::zeros([(free - waited / 4 * 3) / 4], DType::F32, device).unwrap()
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

/// Batches that one launch draws, with embeddings of t that follow from t alone and with those that read a parameter:
/// of other seeds, in between of another size, and of parameters that change.
#[test]
fn a_recorded_batch_has_the_bits_of_its_steps() {
    let Some(device) = gpu(VERSIONS) else { return };
    for embedding_type in [EmbeddingType::Positional, EmbeddingType::Fourier] {
        let (generator, process) = small_generator(embedding_type, &device);
        let sampler = Sampler::new(&generator, &process, DType::F32, device.clone());
        let draw = |seed, batch, recorded| {
            let draws = draws(seed, batch);
            let pictures = sampler.draw(&draws).unwrap();
            assert_eq!(sampler.is_recorded(), recorded, "seed {seed}: {:?}", sampler.recording_failed());
            assert!(pictures.to_f32() == sampler.trace(&draws, |_, _| ()).unwrap().to_f32(), "seed {seed}");
            pictures
        };
        draw(1, 3, false);
        let second = draw(2, 3, true);
        let bits = second.to_f32();
        assert!(draw(3, 3, true).to_f32() != bits);
        assert!(second.to_f32() == bits, "a later launch wrote to pictures that were handed out");
        draw(4, 2, false);
        draw(5, 2, true);
        let before = draw(6, 2, true).to_f32();
        set_parameters(&generator, 0.12, &device);
        assert!(draw(6, 2, false).to_f32() != before);
        draw(7, 2, true);
    }
}

#[test]
fn recorded_batches_take_no_more_memory_the_longer_it_goes() {
    let Some(device) = gpu(VERSIONS) else { return };
    let (generator, process) = small_generator(EmbeddingType::Positional, &device);
    let sampler = Sampler::new(&generator, &process, DType::F32, device.clone());
    let round = || {
        for (batch, seed) in [3, 2].into_iter().flat_map(|batch| (0..4).map(move |seed| (batch, seed))) {
            sampler.draw(&draws(seed, batch)).unwrap();
        }
        assert!(sampler.is_recorded());
        device.allocated()
    };
    assert_eq!(round(), round());
}

fn draws(seed: u64, batch: u64) -> Vec<Draw> {
    (0..batch).map(|index| Draw::Plain(SampleId { seed, index })).collect()
}

fn small_generator(embedding_type: EmbeddingType, device: &Device) -> (Generator, Process) {
    let tiny = tiny();
    let config = GeneratorConfig { embedding_type, image_size: 8, attn_resolutions: vec![4], ..tiny.generator };
    let generator = Generator::new(&config, 0, DType::F32, device).unwrap();
    set_parameters(&generator, 0.1, device);
    (generator, Process::new(&tiny.schedule).unwrap())
}

/// Layers that begin next to zero would hide what goes on inside.
fn set_parameters(generator: &Generator, scale: f32, device: &Device) {
    for (i, param) in generator.params().iter().enumerate() {
        let values: Vec<f32> = (0..param.value().len()).map(|j| ((i + 7 * j) as f32).sin() * scale).collect();
        param.set(Tensor::from_f32(&values, param.shape()).to_device(device).unwrap()).unwrap();
    }
}
