//! DDPMs on the same networks: schedules, the loss, the ways to sample, and the program from end to end.

use std::fs;
use std::path::Path;

use ddgan::autograd::Var;
use ddgan::diffusion::{Method, Prediction, Process, SamplerKind, Schedule, ScheduleConfig, ScheduleKind};
use ddgan::tensor::{self, DType, Device, Key, Tensor};
use ddgan::testing::check_gradients;
use ddgan::train::{Stats, TrainConfig, Trainer, losses, preset};
use serde_json::Value;

use super::program::{TINY, ddgan, fail, png_size, stderr, stdout, succeed};
use super::training;

fn schedule(kind: ScheduleKind, num_timesteps: usize) -> ScheduleConfig {
    ScheduleConfig { kind, num_timesteps, ..Default::default() }
}

/// The first and the last beta, and the share of the signal's variance that is left halfway.
#[test]
fn linear_and_cosine_schedules_are_the_published_ones() {
    for (kind, steps, want) in [
        (ScheduleKind::Linear, 1000, [1e-4, 0.078_587_242_881_778_26, 0.02]),
        (ScheduleKind::Linear, 200, [5e-4, 0.076_658_904_935_024_88, 0.1]),
        (ScheduleKind::Cosine, 200, [2.549_726_363_720_861e-4, 0.493_843_590_440_637_8, 0.999]),
    ] {
        let s = Schedule::new(&schedule(kind, steps)).unwrap();
        assert_eq!((s.a_s_cum[0], s.sigmas_cum[0], s.posterior_variance[0]), (1.0, 0.0, 0.0));
        let got = [s.betas[1], s.a_s_cum[steps / 2].powi(2), s.betas[steps]];
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-10 * want, "{kind:?} {steps}: {got}, want {want}");
        }
    }
    let refuse = |config: ScheduleConfig, reason: &str| {
        let error = Schedule::new(&config).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refuse(schedule(ScheduleKind::Linear, 20), "take more steps");
    refuse(ScheduleConfig { use_geometric: true, ..schedule(ScheduleKind::Cosine, 20) }, "use_geometric is for");
}

fn process(kind: ScheduleKind, num_timesteps: usize, sampler: SamplerKind, steps: usize) -> Process {
    Process::of(Method::Ddpm, Prediction::Noise, &schedule(kind, num_timesteps))
        .unwrap()
        .sampled(sampler, Some(steps))
        .unwrap()
}

/// What a step of sampling makes of one number x, given the network's output and the noise: the predicted x_0, and the
/// next state.
fn denoise(process: &Process, t: usize, x: f64, output: f64, noise: f64) -> [f64; 2] {
    let pixel = |value| Tensor::from_f64(&[value], [1, 1, 1, 1]);
    let (x0, next) = process.denoise(Var::constant(pixel(output)), &Var::constant(pixel(x)), t, pixel(noise)).unwrap();
    [x0.value().item(), next.value().item()]
}

/// DDIM's equation 12 with its two choices of eta; with all steps, the ancestral one is the posterior's tables.
#[test]
fn steps_are_those_of_the_formulas() {
    let (x, output, noise) = (0.3, -1.2, 0.8);
    for (sampler, steps) in [(SamplerKind::Ddim, 7), (SamplerKind::Ancestral, 7), (SamplerKind::Ancestral, 50)] {
        let process = process(ScheduleKind::Cosine, 50, sampler, steps);
        let s = process.schedule();
        let starts: Vec<usize> = process.steps().map(|t| t + 1).collect();
        assert_eq!((starts.len(), starts[0]), (steps, 50));
        let ends = starts[1..].iter().copied().chain([0]);
        for (from, to) in starts.iter().copied().zip(ends) {
            let (a, b) = (s.a_s_cum[from].powi(2), s.a_s_cum[to].powi(2));
            let variance = match sampler {
                SamplerKind::Ancestral => (1.0 - b) / (1.0 - a) * (1.0 - a / b),
                SamplerKind::Ddim => 0.0,
            };
            let x0 = (x - (1.0 - a).sqrt() * output) / a.sqrt();
            let next = b.sqrt() * x0 + (1.0 - b - variance).max(0.0).sqrt() * output + variance.sqrt() * noise;
            let got = denoise(&process, from - 1, x, output, noise);
            let close = |got: f64, want: f64| (got - want).abs() < 1e-9 * want.abs().max(1.0);
            assert!(close(got[0], x0) && close(got[1], next), "{sampler} {from} to {to}: {got:?}, want {x0} {next}");
            if steps == 50 {
                let t = from - 1;
                let table = s.posterior_mean_coef1[t] * x0
                    + s.posterior_mean_coef2[t] * x
                    + s.posterior_variance[t].sqrt() * noise;
                assert!(close(got[1], table), "{t}: {got:?}, want {table}");
            }
        }
    }
}

/// Mean and variance of what sampling ends with, for data of mean m and variance v and the best of all predictors,
/// E[e | x] = sigma (x - a m) / (a^2 v + sigma^2). Every step is affine in x and the noise.
fn outcome(process: &Process, m: f64, v: f64) -> [f64; 2] {
    process.steps().fold([0.0, 1.0], |[mean, variance], t| {
        let (a, sigma) = (process.schedule().a_s_cum[t + 1], process.schedule().sigmas_cum[t + 1]);
        let next =
            |x: f64, noise: f64| denoise(process, t, x, sigma * (x - a * m) / (a * a * v + sigma * sigma), noise)[1];
        let shift = next(0.0, 0.0);
        let (of_x, of_noise) = (next(1.0, 0.0) - shift, next(0.0, 1.0) - shift);
        [of_x * mean + shift, of_x * of_x * variance + of_noise * of_noise]
    })
}

#[test]
fn a_perfect_predictor_gives_the_data_s_mean_and_variance() {
    let (m, v) = (0.7, 0.04);
    for kind in [ScheduleKind::Linear, ScheduleKind::Cosine] {
        for sampler in [SamplerKind::Ancestral, SamplerKind::Ddim] {
            let all_of = |steps: usize| outcome(&process(kind, steps, sampler, steps), m, v);
            let ([_, coarse], [mean, fine]) = (all_of(250), all_of(1000));
            assert!((mean - m).abs() < 1e-3, "{kind:?} {sampler}: mean {mean}");
            // What is missing is the error of finite steps, of the first order.
            assert!((fine - v).abs() < 0.04 * v, "{kind:?} {sampler}: variance {fine}");
            assert!((fine - v).abs() < 0.4 * (coarse - v).abs(), "{kind:?} {sampler}: {coarse}, then {fine}");
            // A single point is found in any number of steps.
            let [mean, variance] = outcome(&process(kind, 200, sampler, 9), m, 0.0);
            assert!((mean - m).abs() < 1e-9 && variance < 1e-12, "{kind:?} {sampler}: {mean} {variance}");
        }
    }
}

/// Of pictures the predicted x_0 is kept in [-1, 1]; points have no such bounds.
#[test]
fn predictions_of_pictures_are_kept_in_their_range() {
    let process = process(ScheduleKind::Linear, 100, SamplerKind::Ancestral, 100);
    let x0 = |shape: [usize; 4]| {
        let of = |value: [f64; 4]| Var::constant(Tensor::from_f64(&value, shape));
        process.denoise(of([-9.0, -0.1, 0.1, 9.0]), &of([0.0; 4]), 50, Key { seed: 0, stream: 0 }).unwrap().0
    };
    let (free, kept) = (x0([4, 1, 1, 1]).value().to_f64(), x0([1, 2, 2, 1]).value().to_f64());
    assert!(free[0] > 1.0 && free[3] < -1.0 && free[1].abs() < 1.0, "{free:?}");
    let want: Vec<f64> = free.iter().map(|x| x.clamp(-1.0, 1.0)).collect();
    assert!(kept.iter().zip(&want).all(|(k, w)| (k - w).abs() < 1e-12), "{kept:?}, want {want:?}");
}

fn random(shape: &[usize], stream: u64) -> Tensor {
    tensor::normal(shape, Key { seed: 5, stream }, DType::F64, &Device::Cpu).unwrap()
}

#[test]
fn the_loss_is_the_mean_square_of_the_error() {
    let of = |values: [f64; 4]| Var::constant(Tensor::from_f64(&values, [2, 1, 1, 2]));
    let loss = losses::noise(&of([1.0, 2.0, 3.0, 4.0]), &of([1.0, 0.0, 0.0, 6.0])).unwrap();
    assert_eq!(loss.value().item(), (0.0 + 4.0 + 9.0 + 4.0) / 4.0);
    let noise = Var::constant(random(&[2, 1, 1, 2], 0));
    check_gradients(&|x| losses::noise(&x[0], &noise), &[random(&[2, 1, 1, 2], 1)], 1, 0).unwrap();
}

/// The whole way from pictures to the gradients, against the change of the loss when all parameters move a little.
#[test]
fn gradients_are_those_of_the_loss() {
    for config in [training::tiny().as_ddpm(), preset("gaussians25").unwrap().as_ddpm()] {
        let mut config = TrainConfig { batch_size: 3, ..config };
        config.generator.num_channels_dae = 8;
        let trainer = Trainer::new(&config, DType::F64, &Device::Cpu).unwrap();
        let size = config.generator.image_size;
        let inputs = trainer.draw_inputs(random(&[3, size, size, config.generator.num_channels], 0)).unwrap();
        let loss = || trainer.noise_gradients(&inputs.real, &inputs.generator).unwrap();
        let params = trainer.generator().params();
        let (start, directions): (Vec<Tensor>, Vec<Tensor>) =
            (0..).zip(params).map(|(i, p)| (p.value(), random(p.shape(), 10 + i))).unzip();
        let at = |step: f64| {
            for ((param, start), direction) in params.iter().zip(&start).zip(&directions) {
                let moved: Vec<f64> =
                    start.to_f64().iter().zip(direction.to_f64()).map(|(w, d)| w + step * d).collect();
                param.set(Tensor::from_f64(&moved, param.shape())).unwrap();
            }
            loss().0
        };
        let (value, gradients) = loss();
        // Before anything is learnt the last layer of the network for pictures gives nothing, and the noise has unit
        // variance.
        assert!(size == 1 || (value - 1.0).abs() < 0.2, "{value}");
        let terms = gradients.iter().zip(&directions).map(|(gradient, direction)| -> f64 {
            let gradient = gradient.as_ref().expect("every parameter matters").value().to_f64();
            gradient.iter().zip(direction.to_f64()).map(|(g, d)| g * d).sum()
        });
        let (analytic, numeric) = (terms.sum::<f64>(), (at(1e-6) - at(-1e-6)) / 2e-6);
        assert!((analytic - numeric).abs() < 1e-5 * analytic.abs().max(1.0), "{analytic}, numeric {numeric}");
    }
}

/// The losses of the first steps, recorded once in f64.
#[test]
fn a_tiny_training_goes_as_recorded_and_continues_bit_for_bit() {
    let recorded: [f64; 4] = [1.036201072141, 1.006158694233, 0.990586926277, 1.022225490571];
    let config = training::tiny().as_ddpm();
    let mut exact = Trainer::new(&config, DType::F64, &Device::Cpu).unwrap();
    let got = recorded.map(|_| {
        let losses = training::step(&mut exact, 5);
        assert_eq!(losses.discriminator, None);
        losses.generator
    });
    let close = got.iter().zip(recorded).all(|(got, want)| (got - want).abs() < 1e-7 * want);
    assert!(close, "{got:.12?}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.safetensors");
    let mut through = Trainer::new(&config, DType::F32, &Device::Cpu).unwrap();
    for _ in 0..2 {
        training::step(&mut through, 5);
    }
    through.snapshot(0).write(&path).unwrap();
    let mut resumed = Trainer::new(&config, DType::F32, &Device::Cpu).unwrap();
    resumed.restore(&path).unwrap();
    for _ in 0..2 {
        assert_eq!(training::step(&mut through, 5), training::step(&mut resumed, 5));
    }
    assert!(training::parameters(&resumed) == training::parameters(&through));
}

#[test]
fn a_batch_in_parts_trains_as_the_whole() {
    let losses = [1, 2, 3].map(|grad_accum| {
        let config = TrainConfig { grad_accum, ..training::tiny().as_ddpm() };
        let mut trainer = Trainer::new(&config, DType::F64, &Device::Cpu).unwrap();
        [(); 2].map(|()| training::step(&mut trainer, 5).generator)
    });
    for parts in &losses[1..] {
        assert!(parts.iter().zip(&losses[0]).all(|(got, want)| (got - want).abs() < 1e-9), "{losses:?}");
    }
}

/// As `TINY`, without what only a GAN has.
const SMALL: &str = "--method ddpm --num_timesteps 25 --num_channels_dae 8 --ch-mult 1 1 --num_res_blocks 1 \
                     --attn-resolutions --batch_size 3 --grid-pictures 4 --stats-every 1";

fn checkpoint(run: &Path, step: u64) -> Vec<u8> {
    fs::read(run.join(format!("checkpoints/step-{step:06}.safetensors"))).unwrap()
}

#[test]
fn the_program_trains_resumes_samples_and_exports_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    succeed(dir.path(), &format!("train digits {SMALL} --max-steps 4 --outdir whole"));
    succeed(dir.path(), &format!("train digits {SMALL} --max-steps 2 --outdir run"));
    succeed(dir.path(), "train --resume run --max-steps 4 --threads 1");
    assert!(checkpoint(&at("run"), 4) == checkpoint(&at("whole"), 4));
    assert!(fs::read(at("run/samples.png")).unwrap() == fs::read(at("whole/samples.png")).unwrap());
    let stats = fs::read_to_string(at("run/stats.jsonl")).unwrap();
    let stats: Vec<Stats> = stats.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(stats.len(), 4);
    for line in &stats {
        assert_eq!((line.loss_d_real, line.loss_d_fake, line.loss_r1, line.lr_d), (None, None, None, None));
        assert!(line.loss_g > 0.0);
    }

    let sample = |source: &str, flags: &str, steps: usize| {
        let arguments = format!("sample {source} --count 3 --batch 2 --out all.npz --overwrite {flags}");
        let output = ddgan(dir.path(), &arguments);
        assert!(output.status.success(), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(&format!(", {steps} steps a picture")), "{}", stderr(&output));
        fs::read(at("all.npz")).unwrap()
    };
    let (ancestral, ddim) = (sample("run", "", 25), sample("run", "--sampler ddim --steps 5", 5));
    assert!(sample("run", "--sampler ancestral --steps 25 --batch 3", 25) == ancestral);
    assert!(sample("run", "--sampler ddim --steps 5", 5) == ddim);
    let others = [sample("run", "--steps 5", 5), sample("run", "--sampler ddim", 25)];
    assert!(ancestral != ddim && others.iter().all(|other| *other != ancestral && *other != ddim));
    succeed(dir.path(), "sample run --sampler ddim --steps 4 --count 2 --trajectory way.png");
    assert_eq!(png_size(&at("way.png")), [5 * 34 + 2, 4 * 34 + 2]);

    succeed(dir.path(), "report run");
    let page = fs::read_to_string(at("run/report.html")).unwrap();
    for words in ["<dd>DDPM</dd>", "Error of the predicted noise", "x<sub>25</sub>", "x<sub>1</sub>"] {
        assert!(page.contains(words), "no `{words}`");
    }
    assert_eq!(page.matches("predicted x<sub>0</sub>").count(), 8);
    assert!(!page.contains("Discriminator</figcaption>"));

    succeed(dir.path(), "export run --out g.safetensors");
    assert!(sample("g.safetensors", "--sampler ddim --steps 5", 5) == ddim);
    fail(dir.path(), "export run --discriminator --out d.safetensors", &["DDPM", "no discriminator"]);
    fail(dir.path(), "import g.safetensors --out h.safetensors", &["z_transform", "cannot be imported"]);

    for (arguments, words) in [
        ("sample run --steps 0", ["steps is 0", "1 to 25"]),
        ("sample run --sampler ddim --steps 26", ["steps is 26", "1 to 25"]),
        ("sample run --z-variants 2", ["--z-variants", "none"]),
        ("train --resume run --method ddgan", ["discriminator.size is none", "has a discriminator"]),
    ] {
        fail(dir.path(), arguments, &words);
    }
    succeed(dir.path(), &format!("train digits {TINY} --max-steps 1 --outdir gan"));
    for arguments in ["sample gan --sampler ddim", "sample gan --steps 1", "eval gan --steps 1"] {
        fail(dir.path(), arguments, &["is for a DDPM", "all of its 2 steps"]);
    }
}

#[test]
fn the_method_decides_where_a_configuration_begins() {
    let dir = tempfile::tempdir().unwrap();
    let config = |flags: &str| {
        let output = ddgan(dir.path(), &format!("train {flags} -n"));
        assert!(output.status.success(), "{flags}: {}", stderr(&output));
        (TrainConfig::from_toml(&stdout(&output)).unwrap(), stdout(&output))
    };
    for name in ["mnist", "cifar10", "gaussians25"] {
        let (got, said) = config(&format!("{name} --method ddpm"));
        assert_eq!(got, preset(name).unwrap().as_ddpm());
        assert!(said.contains(&format!("# From: preset {name}, method ddpm")), "{said}");
        assert_eq!((got.schedule.num_timesteps, got.schedule.kind), (200, ScheduleKind::Linear));
        assert_eq!(config(&format!("{name} --set method=ddpm")).0, got);
        fs::write(dir.path().join("run.toml"), said).unwrap();
        assert_eq!(config("--config run.toml").0, got);
    }
    let (got, _) = config("mnist --schedule cosine --method ddpm --num_timesteps 12 --lr_g 1e-3");
    let mut want = TrainConfig { lr_g: 1e-3, ..preset("mnist").unwrap().as_ddpm() };
    (want.schedule.kind, want.schedule.num_timesteps) = (ScheduleKind::Cosine, 12);
    assert_eq!(got, want);
    assert_eq!(config("mnist --method ddgan").0, preset("mnist").unwrap());

    for (flags, words) in [
        ("--method ddpm --nz 4", ["generator.nz is 4", "no latent z"]),
        ("--method ddpm --use-tanh", ["generator.not_use_tanh is false", "has no bounds"]),
        ("--method ddpm --discriminator small", ["discriminator.size is small", "no discriminator"]),
        ("--method ddpm --num_timesteps 4", ["linear schedule", "take more steps"]),
        ("--discriminator none", ["discriminator.size is none", "has a discriminator"]),
    ] {
        fail(dir.path(), &format!("train mnist {flags} -n"), &words);
    }
    for (flags, word) in
        [("train --method dppm", "ddpm"), ("train --schedule sine", "cosine"), ("sample x --sampler euler", "ddim")]
    {
        let output = ddgan(dir.path(), flags);
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(stderr(&output).contains(word), "{flags}: {}", stderr(&output));
    }
}

#[test]
fn points_of_one_are_judged_and_its_steps_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = "--num_timesteps 25 --num-channels-dae 8 --batch-size 8 --grid-pictures 4 --max-steps 1";
    succeed(dir.path(), &format!("train ring8 --method ddpm {tiny} --outdir run"));
    let json = |flags: &str| -> Value {
        serde_json::from_str(&succeed(dir.path(), &format!("eval run --count 2100 --json {flags}"))).unwrap()
    };
    let (ancestral, ddim) = (json(""), json("--sampler ddim --steps 5"));
    assert_eq!((&ancestral["sampler"], &ancestral["sampling"]["nfe"]), (&"ancestral".into(), &25.into()));
    assert_eq!((&ddim["sampler"], &ddim["sampling"]["nfe"]), (&"ddim".into(), &5.into()));
    let table = succeed(dir.path(), "eval run --count 100 --sampler ddim");
    assert!(table.contains("averaged parameters, ddim sampling: 100 points"), "{table}");

    let profile = "profile ring8 --device cpu --set method=ddpm --batch 2 --runs 1 --ceilings 10,100";
    let table = succeed(dir.path(), &format!("{profile} --part denoise train"));
    assert!(table.contains("adam::step"), "{table}");
    fail(dir.path(), &format!("{profile} --part train_r1"), &["DDPM", "no discriminator"]);
}
