//! Parameters of the networks: published names, order, shapes and counts, and first values.

use ddgan::autograd::{Graph, Var, grad};
use ddgan::checkpoint::published::published_shape;
use ddgan::models::discriminator::DiscriminatorSize;
use ddgan::models::ncsnpp::{EmbeddingType, ResBlockType};
use ddgan::models::{Discriminator, DiscriminatorConfig, Generator, GeneratorConfig};
use ddgan::nn::Param;
use ddgan::ops;
use ddgan::tensor::{DType, Device, Tensor};

fn generator(config: &GeneratorConfig, seed: u64) -> Generator {
    Generator::new(config, seed, DType::F32, &Device::Cpu).unwrap()
}

fn discriminator(config: &DiscriminatorConfig, seed: u64) -> Discriminator {
    Discriminator::new(config, seed, DType::F32, &Device::Cpu).unwrap()
}

/// Compares with a list of published names and shapes, one a line, and with the published count.
fn check_list(params: &[Param], list: &str, count: usize) {
    let path = format!("{}/tests/fixtures/{list}", env!("CARGO_MANIFEST_DIR"));
    let published = std::fs::read_to_string(path).unwrap();
    let line = |p: &Param| format!("{}\t{:?}", p.name(), published_shape(p.name(), p.shape()));
    let ours: Vec<String> = params.iter().map(line).collect();
    for (ours, published) in ours.iter().zip(published.lines()) {
        assert_eq!(ours, published, "{list}");
    }
    assert_eq!(ours.len(), published.lines().count(), "{list}");
    assert_eq!(params.iter().map(|p| p.value().len()).sum::<usize>(), count, "{list}");
}

#[test]
fn generator_for_32x32() {
    let config = GeneratorConfig { n_mlp: 4, ..Default::default() };
    let network = generator(&config, 0);
    assert_eq!(network.params().len(), 384);
    check_list(network.params(), "state_dict_netG_cifar10.txt", 48_432_515);
}

#[test]
fn generator_for_256x256() {
    let ch_mult = vec![1, 1, 2, 2, 4, 4];
    let config = GeneratorConfig { image_size: 256, num_channels_dae: 64, ch_mult, ..Default::default() };
    let network = generator(&config, 0);
    assert_eq!(network.params().len(), 548);
    check_list(network.params(), "state_dict_netG_celebahq256.txt", 39_726_979);
}

#[test]
fn discriminators() {
    let small = discriminator(&DiscriminatorConfig::default(), 0);
    check_list(small.params(), "state_dict_netD_small.txt", 12_741_633);
    drop(small);
    let config = DiscriminatorConfig { size: DiscriminatorSize::Large, image_size: Some(256), ..Default::default() };
    check_list(discriminator(&config, 0).params(), "state_dict_netD_large.txt", 27_737_217);
}

/// What the first values should be.
enum First {
    All(f64),
    OnesThenZeros,
    Normal(f64),
    /// Uniform of this variance.
    Uniform(f64),
}

fn check_first_values(param: &Param, first: First) {
    let (name, values) = (param.name(), param.value().to_f64());
    let n = values.len() as f64;
    let variance = match first {
        First::All(value) => return assert!(values.iter().all(|&v| v == value), "{name} should be {value}"),
        First::OnesThenZeros => {
            let (ones, zeros) = values.split_at(values.len() / 2);
            return assert!(ones.iter().all(|&v| v == 1.0) && zeros.iter().all(|&v| v == 0.0), "{name}");
        }
        First::Normal(std) => std * std,
        First::Uniform(variance) => {
            let largest = values.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
            let bound = (3.0 * variance).sqrt();
            // One in two thousand numbers is within that share of the end of the range.
            let reached = if n > 1000.0 { 0.99 } else { 0.5 };
            assert!(largest <= bound * 1.000001 && largest > reached * bound, "{name}: up to {largest}, want {bound}");
            variance
        }
    };
    // Five standard errors of the mean, and of the variance of a normal distribution (wider than a uniform one's).
    let mean = values.iter().sum::<f64>() / n;
    let second = values.iter().map(|v| v * v).sum::<f64>() / n;
    assert!(mean.abs() < 5.0 * (variance / n).sqrt(), "{name}: mean {mean}");
    assert!((second / variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{name}: variance {second}, want {variance}");
}

/// [C in, K out, R * S] from the published shape of a weight.
fn fans(param: &Param) -> [f64; 3] {
    let shape = published_shape(param.name(), param.shape());
    let receptive_field = shape[2..].iter().product::<usize>();
    [shape[1], shape[0], receptive_field].map(|n| n as f64)
}

/// Whether the path of a parameter, such as `all_modules.3.Conv_1.weight`, ends so.
fn ends(param: &Param, suffix: &str) -> bool {
    param.name() == suffix || param.name().ends_with(&format!(".{suffix}"))
}

#[test]
fn first_values_of_the_generator() {
    for (resblock_type, embedding_type) in [
        (ResBlockType::Biggan, EmbeddingType::Fourier),
        (ResBlockType::BigganOneadagn, EmbeddingType::Positional),
        (ResBlockType::Ddpm, EmbeddingType::Positional),
    ] {
        let config =
            GeneratorConfig { num_channels_dae: 32, n_mlp: 2, resblock_type, embedding_type, ..Default::default() };
        let network = generator(&config, 5);
        let tail_conv = network.params().iter().rfind(|p| p.name().starts_with("all_modules") && p.shape().len() == 4);
        let tail_conv = tail_conv.unwrap().name();
        for param in network.params() {
            let is = |suffix| ends(param, suffix);
            let rank = param.shape().len();
            let first = if is("W") && rank == 1 {
                First::Normal(16.0)
            } else if is("style.bias") {
                First::OnesThenZeros
            } else if is("weight") && rank == 1 {
                First::All(1.0)
            } else if rank == 1 {
                First::All(0.0)
            } else {
                let [inputs, outputs, receptive_field] = fans(param);
                let average = (inputs + outputs) / 2.0 * receptive_field;
                First::Uniform(if is("style.weight") || param.name().starts_with("z_transform") {
                    1.0 / outputs
                } else if is("NIN_3.W") || param.name() == tail_conv || is("Conv_1.weight") {
                    1e-10 / average
                } else if is("W") {
                    0.1 / average
                } else {
                    1.0 / average
                })
            };
            check_first_values(param, first);
        }
    }
}

#[test]
fn first_values_of_the_discriminators() {
    for (size, final_scale) in [(DiscriminatorSize::Small, 1e-10), (DiscriminatorSize::Large, 1.0)] {
        let network = discriminator(&DiscriminatorConfig { size, ngf: 8, ..Default::default() }, 5);
        for param in network.params() {
            if ends(param, "bias") {
                check_first_values(param, First::All(0.0));
                continue;
            }
            let [_, outputs, receptive_field] = fans(param);
            let scale = if ends(param, "conv2.0.weight") {
                1e-10
            } else if ends(param, "final_conv.weight") {
                final_scale
            } else {
                1.0
            };
            check_first_values(param, First::Uniform(scale / (outputs * receptive_field)));
        }
    }
}

/// The first value of a parameter is a matter of the seed and its name: not of other layers, not of the type.
#[test]
fn first_values_come_from_seed_and_name() {
    let config = GeneratorConfig { num_channels_dae: 8, ..Default::default() };
    let network = generator(&config, 1);
    let values = |g: &Generator, name: &str| g.params().iter().find(|p| p.name() == name).unwrap().value().to_f32();
    let (conv, mapping) = ("all_modules.3.Conv_0.weight", "z_transform.3.weight");
    let again = generator(&config, 1);
    for param in network.params() {
        assert_eq!(param.value().to_f32(), values(&again, param.name()), "{}", param.name());
    }
    let deeper = generator(&GeneratorConfig { num_res_blocks: 3, n_mlp: 5, ..config.clone() }, 1);
    let in_f64 = Generator::new(&config, 1, DType::F64, &Device::Cpu).unwrap();
    let other_seed = generator(&config, 2);
    for name in [conv, mapping] {
        assert_eq!(values(&network, name), values(&deeper, name), "{name}");
        let exact = values(&in_f64, name);
        assert!(values(&network, name).iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
        assert_ne!(values(&network, name), values(&other_seed, name), "{name}");
    }
    assert_ne!(values(&network, mapping), values(&network, "z_transform.5.weight"));
}

#[test]
fn a_parameter_keeps_its_shape_and_its_past() {
    let param = Param::new("w", Tensor::from_f32(&[1.0, 2.0], [2]));
    let square = ops::mul(&param.var(), &param.var()).unwrap();
    let old = param.var();
    Param::update(&[&param], |values| values[0] = Tensor::from_f32(&[5.0, 6.0], [2]));
    assert_eq!(param.value().to_f32(), [5.0, 6.0]);

    // What was computed before goes on to mean the value of then.
    let gradient = grad(&square, None, &[&old, &param.var()], Graph::Free).unwrap();
    assert_eq!(gradient[0].as_ref().unwrap().value().to_f32(), [2.0, 4.0]);
    assert!(gradient[1].is_none());

    // Another handle sees the change; between changes every handle gives the same leaf.
    let handle = param.clone();
    handle.set(Tensor::from_f32(&[7.0, 8.0], [2])).unwrap();
    let gradient = grad(&param.var(), None, &[&handle.var()], Graph::Free).unwrap();
    assert!(gradient[0].is_some());

    let error = param.set(Tensor::from_f32(&[1.0], [1])).unwrap_err().to_string();
    assert!(error.contains("[2]") && error.contains("[1]"), "{error}");
    assert!(param.set(Tensor::from_f64(&[1.0, 1.0], [2])).is_err());
    assert_eq!(param.value().to_f32(), [7.0, 8.0]);
}

/// Fixed tensors are saved with the network but have no gradient.
#[test]
fn frequencies_are_not_trained() {
    let config = GeneratorConfig { num_channels_dae: 8, embedding_type: EmbeddingType::Fourier, ..Default::default() };
    let network = generator(&config, 0);
    let fixed: Vec<&str> = network.params().iter().filter(|p| !p.is_trainable()).map(Param::name).collect();
    assert_eq!(fixed, ["all_modules.0.W"]);
    assert!(!Var::is_tracked(&network.params()[0].var()));
}
