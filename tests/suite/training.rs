//! The training step and what goes with it: learning rates, the optimizer, a tiny training from end to end.

use ddgan::autograd::Var;
use ddgan::data::{DataSpec, open};
use ddgan::diffusion::ScheduleConfig;
use ddgan::models::{DiscriminatorConfig, GeneratorConfig};
use ddgan::nn::Param;
use ddgan::tensor::{self, DType, Device, Key, Tensor};
use ddgan::testing::closeness::relative_error;
use ddgan::train::{DiscriminatorLosses, Losses, Optimizer, Pending, TrainConfig, Trainer, cosine_annealing, preset};

/// What torch.optim.lr_scheduler.CosineAnnealingLR (2.x, eta_min 1e-5) gives.
#[test]
fn learning_rates_fall_like_pytorchs() {
    let of_ten = [
        1.6e-4,
        1.5632923872213654e-4,
        1.4567627457812108e-4,
        1.2908389392193552e-4,
        1.0817627457812108e-4,
        8.500000000000002e-5,
        6.182372542187896e-5,
        4.091610607806453e-5,
        2.4323725421878956e-5,
        1.3670761277863488e-5,
        1e-5,
    ];
    for (epoch, want) in of_ten.into_iter().enumerate() {
        let got = cosine_annealing(1.6e-4, epoch as u64, 10);
        assert!((got - want).abs() < 1e-12 * want, "epoch {epoch}: got {got:e}, want {want:e}");
    }
}

fn gradients(values: [Option<f32>; 2]) -> Vec<Option<Var>> {
    values.map(|value| value.map(|value| Var::constant(Tensor::from_f32(&[value; 3], [3])))).to_vec()
}

/// With a constant gradient Adam's first steps are lr long, whatever its size, but for eps.
#[test]
fn optimizer_skips_parameters_without_gradient_and_starts_the_average_as_a_copy() {
    let param = |name: &str| Param::new(name, Tensor::from_f32(&[1.0, 2.0, 3.0], [3]));
    let (params, average) = ([param("a"), param("b")], [param("a"), param("b")]);
    average[0].set(Tensor::from_f32(&[9.0; 3], [3])).unwrap();
    let mut adam = Optimizer::new(&params, 0.5, 0.9).unwrap();
    adam.step(&params, &gradients([Some(1e-3), None]), 0.1, Some((&average, 0.75))).unwrap();
    let close = |param: &Param, want: [f32; 3]| {
        let got = param.value().to_f32();
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-5), "{}: {got:?}, want {want:?}", param.name());
    };
    close(&params[0], [0.9, 1.9, 2.9]);
    close(&average[0], [0.9, 1.9, 2.9]);
    adam.step(&params, &gradients([Some(1e-3), None]), 0.1, Some((&average, 0.75))).unwrap();
    close(&params[0], [0.8, 1.8, 2.8]);
    close(&average[0], [0.875, 1.875, 2.875]);
    assert_eq!(params[1].value().to_f32(), [1.0, 2.0, 3.0]);
    assert_eq!(adam.states()[1].m.to_f32(), [0.0; 3]);
}

pub fn tiny() -> TrainConfig {
    TrainConfig {
        seed: 7,
        batch_size: 5,
        lr_g: 2e-4,
        lr_d: 2e-4,
        r1_gamma: 0.5,
        lazy_reg: 3,
        ema_decay: 0.9,
        schedule: ScheduleConfig { num_timesteps: 3, ..Default::default() },
        generator: GeneratorConfig {
            image_size: 16,
            num_channels: 1,
            num_channels_dae: 8,
            ch_mult: vec![1, 2],
            num_res_blocks: 1,
            attn_resolutions: vec![8],
            nz: 6,
            z_emb_dim: 8,
            n_mlp: 1,
            ..Default::default()
        },
        discriminator: DiscriminatorConfig { num_channels: 1, ngf: 4, t_emb_dim: 8, ..Default::default() },
        ..Default::default()
    }
}

/// Drawn digits at half their size: [N, 16, 16, 1].
pub fn pictures(n: usize, dtype: DType) -> Tensor {
    let data = open(&DataSpec { name: "digits".into(), ..Default::default() }).unwrap();
    let mut image = vec![0.0; 32 * 32];
    let mut values = Vec::new();
    for i in 0..n {
        data.image(i, &mut image).unwrap();
        let pixel = |y: usize, x: usize| image[32 * y + x] as f64;
        for (y, x) in (0..32).step_by(2).flat_map(|y| (0..32).step_by(2).map(move |x| (y, x))) {
            values.push((pixel(y, x) + pixel(y, x + 1) + pixel(y + 1, x) + pixel(y + 1, x + 1)) / 4.0);
        }
    }
    Tensor::from_values(&values, [n, 16, 16, 1], dtype, &Device::Cpu).unwrap()
}

pub fn step(trainer: &mut Trainer, n: usize) -> Losses {
    launch(trainer, pictures(n, DType::F64)).losses().unwrap()
}

/// A step of pictures that may be of another type and on another device.
pub fn launch(trainer: &mut Trainer, real: Tensor) -> Pending {
    let (dtype, device) = {
        let like = trainer.generator().params()[0].value();
        (like.dtype(), like.device())
    };
    let real = Tensor::from_values(&real.to_f64(), real.shape(), dtype, &device).unwrap();
    let inputs = trainer.draw_inputs(real).unwrap();
    trainer.launch(&inputs, [2e-4, 2e-4]).unwrap()
}

/// The losses D real, D fake and G of each step.
fn train(steps: usize, dtype: DType) -> (Trainer, Vec<[f64; 3]>) {
    let mut trainer = Trainer::new(&tiny(), dtype, &Device::Cpu).unwrap();
    let losses = (0..steps).map(|_| numbers(&step(&mut trainer, 5))).collect();
    (trainer, losses)
}

/// D real, D fake and G.
pub fn numbers(losses: &Losses) -> [f64; 3] {
    let DiscriminatorLosses { real, fake, .. } = losses.discriminator.expect("a GAN's");
    [real, fake, losses.generator]
}

pub fn parameters(trainer: &Trainer) -> Vec<f32> {
    let of_discriminators = trainer.discriminator_params();
    let networks = [trainer.generator().params(), trainer.averaged_generator().params(), &of_discriminators];
    networks.into_iter().flatten().flat_map(|p| p.value().to_f32()).collect()
}

/// D real, D fake and G of each step, recorded once in f64. Adam's first steps follow the signs of gradients that are
/// next to nothing, so differences grow from step to step: in f32, which is some 1e-4 off after eight steps, and in f64
/// from machine to machine.
#[test]
fn a_tiny_training_goes_as_recorded() {
    let recorded: [[f64; 3]; 8] = [
        [0.693147244413, 0.693147144864, 0.694379523381],
        [0.691121320245, 0.692401955345, 0.696531674612],
        [0.691230644891, 0.686111130318, 0.716677669529],
        [0.697383350018, 0.680180518730, 0.727527243632],
        [0.711518544653, 0.651093290512, 0.706851774981],
        [0.693030319800, 0.667084845867, 0.726694783127],
        [0.697881491258, 0.669369265756, 0.722814949406],
        [0.685678174511, 0.650872160783, 0.759894572487],
    ];
    let compare = |dtype: DType, tolerance: f64| {
        for (i, (got, want)) in train(8, dtype).1.iter().zip(&recorded).enumerate() {
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() <= tolerance * want.abs(), "{dtype} step {i}: {got:?}, want {want:?}");
            }
        }
    };
    compare(DType::F64, 1e-7);
    compare(DType::F32, 2e-3);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let with_threads = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let (trainer, losses) = pool.install(|| train(4, DType::F32));
        (parameters(&trainer), losses)
    };
    let one = with_threads(1);
    for n in [2, 3] {
        assert!(with_threads(n) == one, "{n} threads");
    }
}

#[test]
fn a_training_that_was_saved_continues_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let (mut through, _) = train(4, DType::F32);
    through.snapshot(0).write(&path).unwrap();
    let mut resumed = Trainer::new(&TrainConfig { seed: 8, ..tiny() }, DType::F32, &Device::Cpu).unwrap();
    assert!(parameters(&resumed) != parameters(&through));
    resumed = Trainer::new(&tiny(), DType::F32, &Device::Cpu).unwrap();
    resumed.restore(&path).unwrap();
    for _ in 0..3 {
        assert_eq!(step(&mut through, 5), step(&mut resumed, 5));
    }
    assert!(parameters(&resumed) == parameters(&through));

    let narrow = DiscriminatorConfig { ngf: 2, ..tiny().discriminator };
    let other = TrainConfig { discriminator: narrow, ..tiny() };
    let error = Trainer::new(&other, DType::F32, &Device::Cpu).unwrap().restore(&path).unwrap_err().to_string();
    assert!(error.contains("d.param.") && error.contains("of another shape"), "{error}");
}

#[test]
fn r1_comes_every_lazy_reg_steps_and_any_batch_size_trains() {
    let mut trainer = Trainer::new(&tiny(), DType::F32, &Device::Cpu).unwrap();
    let had_r1: Vec<bool> = [5, 1, 2, 7, 4].map(|n| step(&mut trainer, n).discriminator.unwrap().r1.is_some()).to_vec();
    assert_eq!(had_r1, [true, false, false, true, false]);
}

/// Also where steps were launched before the losses were looked at.
#[test]
fn a_step_that_diverges_leaves_the_networks_as_they_were() {
    diverging(&Device::Cpu, 2);
}

/// The step number `at` is of pictures that nobody can learn from.
pub fn diverging(device: &Device, at: usize) {
    let mut trainer = Trainer::new(&tiny(), DType::F32, device).unwrap();
    for _ in 0..at {
        step(&mut trainer, 5);
    }
    let before = parameters(&trainer);
    let broken = Tensor::from_f32(&[f32::NAN; 5 * 16 * 16], [5, 16, 16, 1]);
    let [failed, later] = [broken, pictures(5, DType::F32)].map(|real| launch(&mut trainer, real));
    let error = failed.losses().unwrap_err().to_string();
    let step = format!("step {}: loss_d_real is NaN", at + 1);
    assert!(error.starts_with(&step) && error.contains("diverged"), "{error}");
    // What followed was of networks that had not changed.
    later.losses().unwrap();
    assert!(parameters(&trainer) == before);
}

#[test]
fn a_training_that_diverges_stops_and_names_the_step() {
    let mut trainer = Trainer::new(&tiny(), DType::F32, &Device::Cpu).unwrap();
    let inputs = trainer.draw_inputs(pictures(5, DType::F32)).unwrap();
    let error = (0..5).find_map(|_| trainer.step(&inputs, [1e20, 1e20]).err()).unwrap().to_string();
    assert!(error.starts_with("step ") && error.contains("loss_") && error.contains("diverged"), "{error}");
}

/// Without minibatch standard deviation, which is that of a part: parts of 3, 3 and 4 have the gradient of the whole.
#[test]
fn a_batch_in_parts_trains_as_the_whole() {
    let config = preset("gaussians25").unwrap();
    let run = |grad_accum: usize| {
        let mut config = TrainConfig { grad_accum, batch_size: 10, lazy_reg: 1, ..config.clone() };
        (config.generator.num_channels_dae, config.discriminator.ngf) = (8, 8);
        let mut trainer = Trainer::new(&config, DType::F64, &Device::Cpu).unwrap();
        let real = tensor::normal([10, 1, 1, 2], Key { seed: 1, stream: 0 }, DType::F64, &Device::Cpu).unwrap();
        let inputs = trainer.draw_inputs(real).unwrap();
        let losses = trainer.step(&inputs, [1e-3, 1e-3]).unwrap();
        // Adam's first moment is the gradient times 1 - beta1.
        let moments = |optimizer: &Optimizer| optimizer.states().iter().flat_map(|s| s.m.to_f64()).collect::<Vec<_>>();
        let [g, d] = trainer.optimizers().map(moments);
        let r1 = losses.discriminator.unwrap().r1.unwrap();
        [[&numbers(&losses)[..], &[r1]].concat(), g, d]
    };
    let whole = run(1);
    for parts in [2, 3, 10] {
        for (got, want) in run(parts).iter().zip(&whole) {
            let error = relative_error(got, want, 0.0);
            assert!(error < 1e-12, "{parts} parts: {error:e}");
        }
    }
}
