//! Ablations, and what goes beyond the published losses: formulas, gradients, trainings, and the program from end to end.

use std::fs;
use std::path::Path;

use ddgan::autograd::Var;
use ddgan::checkpoint::safetensors::Reader;
use ddgan::diffusion::{Generated, Method, Prediction, Process, ScheduleConfig};
use ddgan::models::{Discriminator, Generator};
use ddgan::nn::{Param, Timesteps};
use ddgan::sample::{Draw, SampleId, Sampler};
use ddgan::tensor::{self, DType, Device, Key, Tensor};
use ddgan::testing::check_gradients;
use ddgan::train::losses::{self, Loss};
use ddgan::train::{HalfInputs, Stats, TrainConfig, Trainer, preset};

use super::program::{TINY, ddgan, fail, stderr, stdout, succeed};
use super::training;

fn random(shape: &[usize], stream: u64) -> Tensor {
    tensor::normal(shape, Key { seed: 9, stream }, DType::F64, &Device::Cpu).unwrap()
}

fn var(values: &[f64], shape: &[usize]) -> Var {
    Var::constant(Tensor::from_f64(values, shape))
}

#[test]
fn losses_have_their_values_and_gradients() {
    let (x_t1, x0) = (var(&[1.0, 2.0, 0.0, 0.0], &[2, 1, 1, 2]), var(&[0.0, 0.0, 3.0, -1.0], &[2, 1, 1, 2]));
    let cost = losses::transport_cost(&x_t1, &x0, 0.1).unwrap();
    assert_eq!((cost.shape(), cost.value().to_f64()), (&[2, 1][..], vec![0.5, 1.0]));
    let logits = var(&[2.0, -1.0], &[2, 1]);
    assert_eq!(losses::transport(&logits, &cost).unwrap().value().item(), (0.5 - 2.0 + 1.0 + 1.0) / 2.0);
    assert_eq!(losses::l1(&x0, &x_t1).unwrap().value().item(), (1.0 + 2.0 + 3.0 + 1.0) / 4.0);

    let (pictures, logits) = ([random(&[3, 1, 1, 2], 0), random(&[3, 1, 1, 2], 1)], random(&[3, 1], 2));
    let cost = |x: &[Var]| losses::transport_cost(&x[0], &x[1], 0.3);
    check_gradients(&cost, &pictures, 2, 0).unwrap();
    check_gradients(&|x| losses::l1(&x[0], &x[1]), &pictures, 1, 0).unwrap();
    check_gradients(&|x| losses::transport(&x[0], &x[1]), &[logits.clone(), logits], 2, 0).unwrap();
}

/// A change of the preset's training, under a name.
type Variant = (&'static str, fn(&mut TrainConfig));

const VARIANTS: [Variant; 11] = [
    ("as published", |_| ()),
    ("T = 1", |c| c.schedule.num_timesteps = 1),
    ("T = 8", |c| c.schedule.num_timesteps = 8),
    ("no z", |c| c.generator.nz = 0),
    ("direct", |c| (c.prediction, c.generator.not_use_tanh) = (Prediction::Previous, true)),
    ("noise", |c| (c.prediction, c.generator.not_use_tanh) = (Prediction::Noise, true)),
    ("one shot", |c| c.method = Method::OneShot),
    ("RDUOT", |c| (c.loss, c.uot_tau) = (Loss::Rduot, 0.01)),
    ("discriminator of x_0", |c| c.x0_weight = 0.7),
    ("L1", |c| c.l1_weight = 0.5),
    ("all at once", |c| {
        (c.loss, c.uot_tau, c.x0_weight, c.l1_weight) = (Loss::Rduot, 0.01, 0.7, 0.5);
        (c.prediction, c.generator.not_use_tanh) = (Prediction::Noise, true);
    }),
];

/// Every variant on pictures and on points.
pub fn variants() -> impl Iterator<Item = (String, TrainConfig)> {
    let mut points = preset("gaussians25").unwrap();
    (points.generator.num_channels_dae, points.discriminator.ngf) = (8, 8);
    [("pictures", training::tiny()), ("points", points)].into_iter().flat_map(|(kind, config)| {
        VARIANTS.map(|(name, change)| {
            let mut config = TrainConfig { batch_size: 3, r1_gamma: 0.5, lazy_reg: 1, ..config.clone() };
            change(&mut config);
            (format!("{name}, {kind}"), config)
        })
    })
}

pub fn pictures(config: &TrainConfig, n: usize, dtype: DType) -> Tensor {
    let size = config.generator.image_size;
    random(&[n, size, size, config.generator.num_channels], 7).cast(dtype).unwrap()
}

/// The change of `loss` where all of `params` move a little, beside what the gradients say.
fn compare_gradients(name: &str, params: &[Param], gradients: &[Option<Var>], loss: impl Fn() -> f64) {
    // So small that LeakyReLU bends nowhere between, or next to nowhere; rounding leaves 1e-6 or so.
    const STEP: f64 = 1e-9;
    let (start, directions): (Vec<Tensor>, Vec<Tensor>) =
        (10..).zip(params).map(|(i, p)| (p.value(), random(p.shape(), i))).unzip();
    let at = |step: f64| {
        for ((param, start), direction) in params.iter().zip(&start).zip(&directions) {
            let moved: Vec<f64> = start.to_f64().iter().zip(direction.to_f64()).map(|(w, d)| w + step * d).collect();
            param.set(Tensor::from_f64(&moved, param.shape())).unwrap();
        }
        loss()
    };
    let numeric = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    at(0.0);
    let terms = gradients.iter().zip(&directions).map(|(gradient, direction)| -> f64 {
        let Some(gradient) = gradient else { return 0.0 };
        gradient.value().to_f64().iter().zip(direction.to_f64()).map(|(g, d)| g * d).sum()
    });
    let analytic: f64 = terms.sum();
    assert_eq!(gradients.len(), params.len(), "{name}");
    assert!((analytic - numeric).abs() < 1e-3 * analytic.abs().max(0.1), "{name}: {analytic}, numeric {numeric}");
}

/// Of each half of a training step, from the pictures to the gradients.
#[test]
fn gradients_are_those_of_the_losses() {
    for (name, mut config) in variants() {
        // Not R1, which jumps where LeakyReLU bends; golden fixtures have its gradients.
        config.r1_gamma = 0.0;
        if config.generator.image_size > 1 {
            // Plain f64 loops are slow.
            (config.generator.image_size, config.generator.attn_resolutions) = (8, vec![4]);
        }
        let trainer = Trainer::new(&config, DType::F64, &Device::Cpu).unwrap();
        // Layers that begin next to zero would hide what goes on behind them.
        for (i, param) in (100..).zip(trainer.generator().params().iter().chain(&trainer.discriminator_params())) {
            let (values, random) = (param.value().to_f64(), random(param.shape(), i).to_f64());
            let moved: Vec<f64> = values.iter().zip(random).map(|(w, r)| w + 0.1 * r).collect();
            param.set(Tensor::from_f64(&moved, param.shape())).unwrap();
        }
        let inputs = trainer.draw_inputs(pictures(&config, 3, DType::F64)).unwrap();
        let of_g = || trainer.generator_gradients(&inputs.real, &inputs.generator).unwrap();
        compare_gradients(&format!("{name}: G"), trainer.generator().params(), &of_g().1, || of_g().0);
        let of_d = || trainer.discriminator_gradients(&inputs.real, &inputs.discriminator).unwrap();
        let sum = || {
            let losses = of_d().0;
            losses.real + losses.fake + losses.x0.unwrap_or(0.0)
        };
        assert_eq!(of_d().0.x0.is_some(), config.x0_weight > 0.0, "{name}");
        compare_gradients(&format!("{name}: D"), &trainer.discriminator_params(), &of_d().1, sum);
    }
}

/// Both halves of a step beside the formulas of docs/ablations.md in plain numbers, all of which are asked for at once.
#[test]
fn steps_have_the_losses_of_the_formulas() {
    const N: usize = 4;
    let (tau, lambda, weight) = (0.3, 0.7, 0.5);
    let mut config = preset("gaussians25").unwrap();
    (config.generator.num_channels_dae, config.discriminator.ngf, config.r1_gamma) = (8, 8, 0.0);
    (config.loss, config.uot_tau, config.x0_weight, config.l1_weight) = (Loss::Rduot, tau, lambda, weight);
    let trainer = Trainer::new(&config, DType::F64, &Device::Cpu).unwrap();
    let d = trainer.discriminator();
    let d0 = Discriminator::new(&config.discriminator, config.seed + 1, DType::F64, &Device::Cpu).unwrap();
    let real = pictures(&config, N, DType::F64);
    let inputs = trainer.draw_inputs(real.clone()).unwrap();

    let softplus = |x: f64| x.exp().ln_1p();
    let mean = |of: &dyn Fn(usize) -> f64| (0..N).map(of).sum::<f64>() / N as f64;
    let check = |half: &HalfInputs, generators: bool| {
        let (process, g) = (trainer.process(), trainer.generator());
        let (x_t, x_t1) = process.forward_pair(&real, &half.t, &half.noise_t, &half.noise_t1).unwrap();
        let [x0, x_t, x_t1] = [real.clone(), x_t, x_t1].map(Var::constant);
        let made = g.forward(&x_t1, &g.times(process.schedule(), &half.t), &Var::constant(half.z.clone())).unwrap();
        let x_t_made = process.posterior_step(&made, &x_t1, &half.t, &half.noise_post).unwrap();
        let judge = |network: &Discriminator, x: &Var| {
            network.forward(x, &Timesteps::Index(half.t.clone()), &x_t1).unwrap().value().to_f64()
        };
        let [a, b, c] = [&x_t1, &made, &x0].map(|x| x.value().to_f64());
        let cost = |i: usize| tau * (2 * i..2 * i + 2).map(|j| (a[j] - b[j]).powi(2)).sum::<f64>();
        let (of_made, of_made_x0) = (judge(d, &x_t_made), judge(&d0, &made));
        let (got, want) = if generators {
            let l1 = mean(&|i| ((b[2 * i] - c[2 * i]).abs() + (b[2 * i + 1] - c[2 * i + 1]).abs()) / 2.0);
            let want = mean(&|i| cost(i) - of_made[i]) + lambda * mean(&|i| softplus(-of_made_x0[i])) + weight * l1;
            (vec![trainer.generator_gradients(&real, half).unwrap().0], vec![want])
        } else {
            let (of_true, of_true_x0) = (judge(d, &x_t), judge(&d0, &x0));
            let losses = trainer.discriminator_gradients(&real, half).unwrap().0;
            let of_x0 = mean(&|i| softplus(-of_true_x0[i]) + softplus(of_made_x0[i]));
            let of_x = [mean(&|i| softplus(-of_true[i])), mean(&|i| softplus(of_made[i] - cost(i)))];
            (vec![losses.real, losses.fake, losses.x0.unwrap()], vec![of_x[0], of_x[1], of_x0])
        };
        let close = got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-9 * want.abs().max(1.0));
        assert!(close, "generator {generators}: {got:?}, want {want:?}");
    };
    check(&inputs.discriminator, false);
    check(&inputs.generator, true);
}

/// Each variant is another training than the published one, and continues bit for bit.
#[test]
fn trainings_continue_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let mut published = Vec::new();
    for (name, config) in variants() {
        let step = |trainer: &mut Trainer| {
            let inputs = trainer.draw_inputs(pictures(&config, 3, DType::F32)).unwrap();
            trainer.step(&inputs, [1e-3, 1e-3]).unwrap()
        };
        let new = || Trainer::new(&config, DType::F32, &Device::Cpu).unwrap();
        let parameters = |trainer: &Trainer| {
            let of_d = trainer.discriminator_params();
            let all = trainer.generator().params().iter().chain(trainer.averaged_generator().params()).chain(&of_d);
            all.flat_map(|param| param.value().to_f32()).collect::<Vec<f32>>()
        };
        let (mut through, mut resumed) = (new(), new());
        step(&mut through);
        through.snapshot(0).write(&path).unwrap();
        let second = step(&mut through);
        resumed.restore(&path).unwrap();
        assert_eq!(step(&mut resumed), second, "{name}");
        assert!(parameters(&resumed) == parameters(&through), "{name}");
        if name.starts_with("as published") {
            published.push(second);
        } else {
            assert!(!published.contains(&second), "{name} changes nothing");
        }
    }
    assert_eq!(published.len(), 2);
}

fn one_picture(prediction: Prediction, method: Method) -> (Process, Var, Var, Tensor) {
    let config = ScheduleConfig { num_timesteps: 4, ..Default::default() };
    let process = Process::of(method, prediction, &config).unwrap();
    let (x0, noise) = (random(&[2, 2, 2, 1], 0), random(&[2, 2, 2, 1], 1));
    let x_t1 = process.diffuse(&Var::constant(x0.clone()), &[3, 1], &Var::constant(noise.clone())).unwrap();
    (process, Var::constant(x0), x_t1, noise)
}

fn assert_close(got: &Var, want: &Var) {
    for (got, want) in got.value().to_f64().iter().zip(want.value().to_f64()) {
        assert!((got - want).abs() < 1e-9, "{got}, want {want}");
    }
}

#[test]
fn outputs_mean_what_the_prediction_says() {
    let t = [2, 0];
    let (published, x0, x_t1, noise) = one_picture(Prediction::X0, Method::Ddgan);
    let want = published.posterior_step(&x0, &x_t1, &t, random(&[2, 2, 2, 1], 2)).unwrap();
    let made = |process: &Process, output: Var| {
        let Generated { x0, x_t } = process.generated(output, &x_t1, &t, random(&[2, 2, 2, 1], 2)).unwrap();
        (x0, x_t)
    };
    let (clean, x_t) = made(&published, x0.clone());
    assert_close(&clean.unwrap(), &x0);
    assert_close(&x_t, &want);
    // The very noise that x_{t+1} was made with leads to the same.
    let (clean, x_t) = made(&one_picture(Prediction::Noise, Method::Ddgan).0, Var::constant(noise));
    assert_close(&clean.unwrap(), &x0);
    assert_close(&x_t, &want);
    let (clean, x_t) = made(&one_picture(Prediction::Previous, Method::Ddgan).0, x0.clone());
    assert!(clean.is_none());
    assert_close(&x_t, &x0);
    // Made in one step, x_0 is diffused: at t = 0 it is seen as it is.
    let (one_shot, ..) = one_picture(Prediction::X0, Method::OneShot);
    let (clean, x_t) = made(&one_shot, x0.clone());
    let diffused = one_shot.diffuse(&x0, &t, &Var::constant(random(&[2, 2, 2, 1], 2))).unwrap();
    assert_close(&clean.unwrap(), &x0);
    assert_close(&x_t, &diffused);
    assert_eq!(x_t.value().to_f64()[4..], x0.value().to_f64()[4..]);

    for (method, prediction) in
        [(Method::Ddpm, Prediction::X0), (Method::Ddpm, Prediction::Previous), (Method::OneShot, Prediction::Noise)]
    {
        let error = Process::of(method, prediction, &Default::default()).err().unwrap().to_string();
        assert!(error.contains("prediction is") && error.contains(&method.to_string()), "{error}");
    }
}

/// The generator is asked once, at the last time; with direct denoising T times, and its output is the next state.
#[test]
fn samples_come_as_the_method_says() {
    let config = training::tiny().generator;
    let generator = Generator::new(&config, 0, DType::F32, &Device::Cpu).unwrap();
    let schedule = ScheduleConfig { num_timesteps: 3, ..Default::default() };
    let draws = [Draw::Plain(SampleId { seed: 4, index: 2 })];
    for (method, prediction, times) in
        [(Method::OneShot, Prediction::X0, &[2][..]), (Method::Ddgan, Prediction::Previous, &[2, 1, 0][..])]
    {
        let process = Process::of(method, prediction, &schedule).unwrap();
        assert_eq!(process.steps().collect::<Vec<_>>(), times);
        let sampler = Sampler::new(&generator, &process, DType::F32, Device::Cpu);
        let mut states = Vec::new();
        let last = sampler.trace(&draws, |x, step| {
            assert_eq!(step.x0.to_f32(), step.x_t.to_f32());
            states.push(x.clone());
        });
        states.push(last.unwrap());
        for (pair, &t) in states.windows(2).zip(times) {
            let key = Key { seed: 4, stream: tensor::stream(&format!("sample/z/{t}"), 2) };
            let z = tensor::normal([1, config.nz], key, DType::F32, &Device::Cpu).unwrap();
            let out = generator.forward(&Var::constant(pair[0].clone()), &Timesteps::Index(vec![t]), &Var::constant(z));
            assert_eq!(out.unwrap().value().to_f32(), pair[1].to_f32());
        }
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = |flags: &str| {
        let output = ddgan(dir.path(), &format!("train mnist {flags} -n"));
        assert!(output.status.success(), "{flags}: {}", stderr(&output));
        TrainConfig::from_toml(&stdout(&output)).unwrap()
    };
    let mut want = preset("mnist").unwrap();
    (want.loss, want.uot_tau, want.x0_weight, want.l1_weight) = (Loss::Rduot, 1e-4, 0.5, 2.0);
    assert_eq!(config("--loss rduot --uot-tau 1e-4 --x0_weight 0.5 --l1-weight 2"), want);
    assert_eq!(config("--set loss=rduot --set uot_tau=1e-4 --set x0_weight=0.5 --set l1_weight=2"), want);
    let direct = config("--prediction previous --not-use-tanh --nz 0");
    assert_eq!((direct.prediction, direct.generator.nz), (Prediction::Previous, 0));
    assert_eq!(config("--method one_shot").method, Method::OneShot);

    for (flags, words) in [
        ("--prediction noise", ["generator.not_use_tanh is false", "prediction noise"]),
        ("--prediction previous --not-use-tanh --loss rduot", ["loss is rduot", "non_saturating"]),
        ("--prediction previous --not-use-tanh --l1-weight 1", ["l1_weight is 1, expected 0", "previous"]),
        ("--method one_shot --x0-weight 1", ["x0_weight is 1, expected 0", "one step"]),
        ("--method one_shot --prediction noise --not-use-tanh", ["prediction is noise", "one_shot"]),
        ("--method ddpm --l1-weight 1", ["l1_weight is 1, expected 0", "DDPM"]),
        ("--method ddpm --prediction x0", ["prediction is x0, expected noise", "ddpm"]),
        ("--set l1_weight=-1", ["l1_weight is -1", "0 or a positive number"]),
        ("--set x0_weight=nan", ["x0_weight is NaN", "0 or a positive number"]),
        ("--uot-tau inf", ["uot_tau is inf", "0 or a positive number"]),
    ] {
        fail(dir.path(), &format!("train mnist {flags} -n"), &words);
    }
    for (flags, word) in [
        ("--loss hinge", "rduot"),
        ("--prediction x1", "previous"),
        ("--method gan", "one_shot"),
        ("--l1-weight much", "much"),
    ] {
        let output = ddgan(dir.path(), &format!("train {flags}"));
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(stderr(&output).contains(word), "{flags}: {}", stderr(&output));
    }
}

fn checkpoint(run: &Path) -> std::path::PathBuf {
    run.join("checkpoints/step-000003.safetensors")
}

#[test]
fn the_program_trains_resumes_and_samples_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for (i, flags) in ["--method one_shot", "--loss rduot --x0-weight 1 --l1-weight 0.1"].into_iter().enumerate() {
        let (whole, run) = (format!("whole{i}"), format!("run{i}"));
        succeed(dir.path(), &format!("train digits {TINY} {flags} --max-steps 3 --outdir {whole}"));
        succeed(dir.path(), &format!("train digits {TINY} {flags} --max-steps 2 --outdir {run}"));
        succeed(dir.path(), &format!("train --resume {run} --max-steps 3"));
        let [whole, run] = [whole, run].map(|run| at(&run));
        assert!(fs::read(checkpoint(&whole)).unwrap() == fs::read(checkpoint(&run)).unwrap(), "{flags}");
        assert!(fs::read(whole.join("samples.png")).unwrap() == fs::read(run.join("samples.png")).unwrap(), "{flags}");
    }
    let said = stderr(&ddgan(dir.path(), "sample run0 --count 2 --out a.png"));
    assert!(said.contains(", 1 steps a picture"), "{said}");
    fail(dir.path(), "sample run0 --steps 1", &["is for a DDPM", "all of its 1 steps"]);

    let stats = |run: &str| {
        let text = fs::read_to_string(at(run).join("stats.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str::<Stats>(line).unwrap().loss_x0).collect::<Vec<_>>()
    };
    assert!(stats("run0").iter().all(Option::is_none) && stats("run1").iter().all(|loss| loss.is_some()));
    for (run, method, of_x0) in [("run0", "<dd>one-shot GAN</dd>", false), ("run1", "<dd>DDGAN</dd>", true)] {
        succeed(dir.path(), &format!("report {run}"));
        let page = fs::read_to_string(at(run).join("report.html")).unwrap();
        assert!(page.contains(method), "{run}");
        assert_eq!(page.contains("Discriminator of x_0"), of_x0, "{run}");
    }
    let names: Vec<String> = Reader::open(checkpoint(&at("run1"))).unwrap().names().into_iter().collect();
    let count = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    assert!(count("d0.param.") > 0);
    assert_eq!((count("d0.param."), count("d0.adam.m.")), (count("d.param."), count("d.adam.m.")));
    // Both of its networks can be had, and what it lacks cannot be added later.
    succeed(dir.path(), "export run1 --out g.safetensors");
    succeed(dir.path(), "export run1 --discriminator --out d.safetensors");
    succeed(dir.path(), "sample g.safetensors --count 2 --out b.png");
    fail(dir.path(), "train --resume run0 --loss rduot", &["loss"]);
    fail(dir.path(), "train --resume run1 --x0-weight 2", &["x0_weight 1.0 -> 2.0"]);
}
