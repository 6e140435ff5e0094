//! The generator under every combination of its options, and what it says to those that cannot work.

use ddgan::autograd::{Graph, Var, grad, no_grad};
use ddgan::diffusion::{Schedule, ScheduleConfig};
use ddgan::models::ncsnpp::{Combine, EmbeddingType, ProgressiveInput, ProgressiveOutput, ResBlockType};
use ddgan::models::{Generator, GeneratorConfig};
use ddgan::nn::{Param, Timesteps};
use ddgan::tensor::{DType, Device, Key, Tensor, normal, stream};
use rayon::prelude::*;

/// Three levels of 4x4, 2x2 and 1x1 pixels.
fn tiny() -> GeneratorConfig {
    GeneratorConfig {
        image_size: 4,
        num_channels: 2,
        num_channels_dae: 4,
        ch_mult: vec![1, 1, 2],
        num_res_blocks: 1,
        attn_resolutions: vec![2],
        n_mlp: 1,
        nz: 3,
        z_emb_dim: 5,
        ..Default::default()
    }
}

fn new(config: &GeneratorConfig) -> Generator {
    Generator::new(config, 0, DType::F32, &Device::Cpu).unwrap()
}

fn random(shape: &[usize], stream: u64) -> Var {
    Var::leaf(normal(shape, Key { seed: 1, stream }, DType::F32, &Device::Cpu).unwrap())
}

/// Gives every parameter numbers of ordinary size, so that nothing hides behind a layer that begins at almost zero.
fn randomise(params: &[Param]) {
    for param in params {
        let key = Key { seed: 2, stream: stream(param.name(), 0) };
        let noise = normal(param.shape(), key, DType::F32, &Device::Cpu).unwrap().to_f64();
        let values: Vec<f64> = param.value().to_f64().iter().zip(noise).map(|(v, n)| v + 0.3 * n).collect();
        param.set(Tensor::from_values(&values, param.shape(), DType::F32, &Device::Cpu).unwrap()).unwrap();
    }
}

fn times(config: &GeneratorConfig) -> Timesteps {
    match config.embedding_type {
        EmbeddingType::Positional => Timesteps::Index(vec![3, 0]),
        EmbeddingType::Fourier => Timesteps::NoiseLevel(vec![0.5, 20.0]),
    }
}

/// Every option with every other. Those that are without meaning beside another one are not varied there.
fn all_combinations() -> Vec<GeneratorConfig> {
    let vary = |configs: Vec<GeneratorConfig>, variants: &[&dyn Fn(&mut GeneratorConfig)]| {
        let with = |config: &GeneratorConfig, change: &&dyn Fn(&mut GeneratorConfig)| {
            let mut config = config.clone();
            change(&mut config);
            config
        };
        configs.iter().flat_map(|c| variants.iter().map(|v| with(c, v)).collect::<Vec<_>>()).collect()
    };
    let mut all = vec![tiny()];
    all = vary(
        all,
        &[
            &|c| c.resblock_type = ResBlockType::Biggan,
            &|c| c.resblock_type = ResBlockType::BigganOneadagn,
            &|c| c.resblock_type = ResBlockType::Ddpm,
            &|c| (c.resblock_type, c.resamp_with_conv) = (ResBlockType::Ddpm, false),
        ],
    );
    all = vary(all, &[&|_| (), &|c| c.fir = false]);
    all = vary(
        all,
        &[&|c| c.progressive = ProgressiveOutput::None, &|c| c.progressive = ProgressiveOutput::OutputSkip, &|c| {
            c.progressive = ProgressiveOutput::Residual
        }],
    );
    all = vary(
        all,
        &[
            &|c| c.progressive_input = ProgressiveInput::None,
            &|c| c.progressive_input = ProgressiveInput::Residual,
            &|c| c.progressive_input = ProgressiveInput::InputSkip,
            &|c| (c.progressive_input, c.progressive_combine) = (ProgressiveInput::InputSkip, Combine::Cat),
        ],
    );
    all = vary(all, &[&|_| (), &|c| c.embedding_type = EmbeddingType::Fourier]);
    all = vary(all, &[&|_| (), &|c| c.conditional = false]);
    all = vary(all, &[&|_| (), &|c| c.skip_rescale = false]);
    all = vary(all, &[&|_| (), &|c| c.centered = false]);
    all = vary(all, &[&|_| (), &|c| c.not_use_tanh = true]);
    vary(all, &[&|_| (), &|c| c.dropout = 0.3])
}

#[test]
fn every_combination_of_options() {
    let all = all_combinations();
    assert_eq!(all.len(), 4 * 2 * 3 * 4 * 64);
    all.par_iter().for_each(forward_and_backward);
}

fn forward_and_backward(config: &GeneratorConfig) {
    let network = new(config);
    randomise(network.params());
    let (x, z) = (random(&[2, 4, 4, 2], 0), random(&[2, 3], 1));
    let out = network.forward_train(&x, &times(config), &z, Key { seed: 3, stream: 0 }).unwrap();
    assert_eq!(out.shape(), [2, 4, 4, 2], "{config:?}");
    let largest = out.value().to_f32().into_iter().map(f32::abs).fold(0.0, f32::max);
    assert!(largest.is_finite() && (config.not_use_tanh || largest <= 1.0), "{config:?}: up to {largest}");

    let params: Vec<Var> = network.params().iter().map(Param::var).collect();
    let wanted: Vec<&Var> = [&x, &z].into_iter().chain(&params).collect();
    let gradients = grad(&out, None, &wanted, Graph::Free).unwrap();
    let names = ["x", "z"].into_iter().chain(network.params().iter().map(Param::name));
    for (name, gradient) in names.zip(gradients) {
        // Every parameter has its part in the result, except where the network is not told the time.
        let fixed = name == "all_modules.0.W";
        let of_time = name.contains("Dense_0") && !config.conditional;
        match gradient {
            Some(gradient) => {
                assert!(!fixed && !of_time, "{config:?}: {name} has influence");
                let finite = gradient.value().to_f32().iter().all(|g| g.is_finite());
                assert!(finite, "{config:?}: gradient of {name}");
            }
            None => assert!(fixed && config.embedding_type == EmbeddingType::Fourier || of_time, "{config:?}: {name}"),
        }
    }
}

/// Smoothing kernels of other lengths keep the sizes.
#[test]
fn other_kernels() {
    for fir_kernel in [vec![1.0, 1.0], vec![1.0, 2.0, 1.0], vec![1.0, 4.0, 6.0, 4.0, 1.0]] {
        for resblock_type in [ResBlockType::Biggan, ResBlockType::Ddpm] {
            let fir_kernel = fir_kernel.clone();
            forward_and_backward(&GeneratorConfig { fir_kernel, resblock_type, image_size: 4, ..tiny() });
        }
    }
}

#[test]
fn each_sample_is_computed_alone() {
    let network = new(&tiny());
    randomise(network.params());
    let run = |x: Tensor, t: Vec<usize>, z: Tensor| {
        let (x, z) = (Var::constant(x), Var::constant(z));
        no_grad(|| network.forward(&x, &Timesteps::Index(t), &z)).unwrap().value().to_f32()
    };
    let (x, z) = (random(&[3, 4, 4, 2], 0).into_value(), random(&[3, 3], 1).into_value());
    let together = run(x.clone(), vec![2, 0, 1], z.clone());
    for (i, t) in [2, 0, 1].into_iter().enumerate() {
        let x = Tensor::from_f32(&x.to_f32()[i * 32..(i + 1) * 32], [1, 4, 4, 2]);
        let z = Tensor::from_f32(&z.to_f32()[i * 3..(i + 1) * 3], [1, 3]);
        let alone = run(x, vec![t], z);
        let same = alone.iter().zip(&together[i * 32..]).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(same, "sample {i}: {alone:?}");
    }
}

#[test]
fn dropout_is_for_training_and_drawn_from_its_key() {
    let config = GeneratorConfig { dropout: 0.5, ..tiny() };
    let (network, without) = (new(&config), new(&tiny()));
    randomise(network.params());
    randomise(without.params());
    let (x, z) = (random(&[2, 4, 4, 2], 0), random(&[2, 3], 1));
    let key = |stream| Key { seed: 9, stream };
    let train = |network: &Generator, stream| {
        network.forward_train(&x, &times(&config), &z, key(stream)).unwrap().value().to_f32()
    };
    let sample = |network: &Generator| network.forward(&x, &times(&config), &z).unwrap().value().to_f32();
    assert_eq!(sample(&network), sample(&without));
    assert_eq!(train(&without, 0), sample(&without));
    assert_eq!(train(&network, 0), train(&network, 0));
    assert_ne!(train(&network, 0), train(&network, 1));
    assert_ne!(train(&network, 0), sample(&network));
}

/// What is not centred is in [0, 1] and brought to [-1, 1] first.
#[test]
fn data_that_are_not_centred() {
    let (centred, not) = (new(&tiny()), new(&GeneratorConfig { centered: false, ..tiny() }));
    randomise(centred.params());
    randomise(not.params());
    let (x, z) = (random(&[2, 4, 4, 2], 0), random(&[2, 3], 1));
    let halved: Vec<f32> = x.value().to_f32().iter().map(|v| (v + 1.0) / 2.0).collect();
    let halved = Var::constant(Tensor::from_f32(&halved, [2, 4, 4, 2]));
    let a = centred.forward(&x, &times(&tiny()), &z).unwrap().value().to_f32();
    let b = not.forward(&halved, &times(&tiny()), &z).unwrap().value().to_f32();
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn times_of_steps() {
    let schedule = Schedule::new(&ScheduleConfig::default()).unwrap();
    let positional = new(&tiny());
    assert!(matches!(positional.times(&schedule, &[0, 3]), Timesteps::Index(t) if t == [0, 3]));
    let config = GeneratorConfig { embedding_type: EmbeddingType::Fourier, ..tiny() };
    let Timesteps::NoiseLevel(levels) = new(&config).times(&schedule, &[0, 3]) else { panic!("not noise levels") };
    let want = [0.69156003 / 0.722319007, 0.999978364 / 0.00657194247];
    assert!(levels.iter().zip(want).all(|(l, w)| (l / w - 1.0).abs() < 1e-5), "{levels:?}");
}

#[test]
fn options_that_cannot_work() {
    let cases: [(GeneratorConfig, &[&str]); 9] = [
        (
            GeneratorConfig { image_size: 28, ..Default::default() },
            &["image_size 28", "halved 3 times", "multiple of 8"],
        ),
        (
            GeneratorConfig { attn_resolutions: vec![16, 7], ..Default::default() },
            &["attn_resolutions", "7", "[32, 16, 8, 4]"],
        ),
        (
            GeneratorConfig { num_channels_dae: 36, ..Default::default() },
            &["all_modules.", "GroupNorm", "num_channels_dae"],
        ),
        (GeneratorConfig { num_channels_dae: 3, ..Default::default() }, &["GroupNorm", "3 channels"]),
        (GeneratorConfig { ch_mult: vec![], ..Default::default() }, &["ch_mult"]),
        (GeneratorConfig { ch_mult: vec![1, 0], ..Default::default() }, &["ch_mult"]),
        (GeneratorConfig { z_emb_dim: 0, ..Default::default() }, &["generator.z_emb_dim is 0", "1 to"]),
        (GeneratorConfig { dropout: 1.0, ..Default::default() }, &["dropout", "below 1"]),
        (GeneratorConfig { fir_kernel: vec![1.0, -1.0], ..Default::default() }, &["fir_kernel", "[1.0, -1.0]"]),
    ];
    for (config, parts) in cases {
        let error = Generator::new(&config, 0, DType::F32, &Device::Cpu).err().expect("an error").to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is missing from: {error}");
        }
    }
}

#[test]
fn options_in_files() {
    let config: GeneratorConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(config, GeneratorConfig::default());
    let error = serde_json::from_str::<GeneratorConfig>(r#"{"resblock_type": "resnet"}"#).unwrap_err().to_string();
    assert!(error.contains("biggan_oneadagn"), "{error}");
    let error = serde_json::from_str::<GeneratorConfig>(r#"{"chanel_mult": [1]}"#).unwrap_err().to_string();
    assert!(error.contains("chanel_mult") && error.contains("ch_mult"), "{error}");
    let written = serde_json::to_string(&tiny()).unwrap();
    assert_eq!(serde_json::from_str::<GeneratorConfig>(&written).unwrap(), tiny());
}

#[test]
fn inputs_that_do_not_fit() {
    let network = new(&tiny());
    let (x, z) = (random(&[2, 4, 4, 2], 0), random(&[2, 3], 1));
    let t = Timesteps::Index(vec![0, 0]);
    assert!(network.forward(&x, &t, &z).is_ok());
    assert!(network.forward(&random(&[2, 4, 4, 3], 0), &t, &z).is_err());
    assert!(network.forward(&x, &t, &random(&[2, 4], 0)).is_err());
    assert!(network.forward(&x, &Timesteps::Index(vec![0]), &z).is_err());
    let fourier = new(&GeneratorConfig { embedding_type: EmbeddingType::Fourier, ..tiny() });
    for times in [t, Timesteps::NoiseLevel(vec![1.0, 0.0])] {
        let error = fourier.forward(&x, &times, &z).unwrap_err().to_string();
        assert!(error.contains("positive noise levels"), "{error}");
    }
}
