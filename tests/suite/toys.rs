//! Points in the plane: the data, the networks made of linear layers, what is written, and a training.

use ddgan::autograd::{Graph, Var, grad, no_grad};
use ddgan::data::toys::Kind;
use ddgan::data::{DataSpec, Dataset, ImageShape, Split, Toy, open};
use ddgan::metrics::ModeCoverage;
use ddgan::models::{Discriminator, Generator};
use ddgan::nn::Timesteps;
use ddgan::sample::{Output, Plan, Points, Samples};
use ddgan::tensor::{DType, Device, Key, Tensor, normal};
use ddgan::testing::check_gradients;
use ddgan::train::{TrainConfig, Trainer, losses, preset};
use std::fs;
use std::path::Path;

#[test]
fn points_lie_around_their_modes() {
    for (kind, modes) in [(Kind::Gaussians25, 25), (Kind::Ring8, 8)] {
        let (toy, centres, sigma) = (Toy::new(kind, Split::Train, 0), kind.modes(), kind.deviation());
        assert_eq!((toy.classes(), centres.len()), (modes, modes));
        let n = 10_000;
        // In units of the deviation: the squared distance has mean 2 and variance 4.
        let distance = |i: usize| -> f64 {
            let (point, centre) = (toy.point(i), centres[toy.label(i) as usize]);
            point.iter().zip(centre).map(|(p, c)| ((f64::from(*p) - c) / sigma).powi(2)).sum()
        };
        let mean = (0..n).map(distance).sum::<f64>() / n as f64;
        assert!((mean - 2.0).abs() < 4.0 * 2.0 / (n as f64).sqrt(), "{kind:?}: {mean}");
        let apart = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) > 20.0 * sigma;
        assert!((0..modes).all(|i| (0..i).all(|j| apart(&centres[i], &centres[j]))), "{kind:?}");
    }
}

/// Unit variance and mean 0 but for the spiral, whose mean is 0.28 in one axis.
#[test]
fn distributions_are_of_unit_size_and_differ_by_seed_and_split() {
    for kind in Kind::ALL {
        let points = |split, seed| {
            let toy = Toy::new(kind, split, seed);
            (0..12_800).map(|i| toy.point(i)).collect::<Vec<_>>()
        };
        let train = points(Split::Train, 0);
        for axis in 0..2 {
            let n = train.len() as f32;
            let mean = train.iter().map(|p| p[axis]).sum::<f32>() / n;
            let variance = train.iter().map(|p| (p[axis] - mean).powi(2)).sum::<f32>() / n;
            assert!(mean.abs() < 0.3 && (0.6..1.2).contains(&variance), "{kind:?}: {mean} {variance}");
        }
        assert_eq!(train, points(Split::Train, 0));
        assert_ne!(train, points(Split::Train, 1));
        assert_ne!(train, points(Split::Test, 0));
        let data = open(&DataSpec { name: kind.name().into(), ..Default::default() }).unwrap();
        let mut point = [0.0; 2];
        data.image(7, &mut point).unwrap();
        assert_eq!((data.shape(), point), (ImageShape::POINT, train[7]));
    }
}

/// The preset, narrow enough for finite differences.
fn tiny() -> TrainConfig {
    let mut config = preset("gaussians25").unwrap();
    (config.generator.num_channels_dae, config.generator.nz) = (6, 3);
    (config.discriminator.ngf, config.discriminator.t_emb_dim) = (6, 4);
    config
}

fn random(shape: &[usize], stream: u64) -> Tensor {
    normal(shape, Key { seed: 3, stream }, DType::F64, &Device::Cpu).unwrap()
}

#[test]
fn networks_of_linear_layers_use_all_they_are_given() {
    let (f64, cpu) = (DType::F64, Device::Cpu);
    let config = tiny();
    let generator = Generator::new(&config.generator, 0, f64, &cpu).unwrap();
    let discriminator = Discriminator::new(&config.discriminator, 0, f64, &cpu).unwrap();
    // Three hidden layers: four weights and biases.
    assert_eq!((generator.params().len(), discriminator.params().len()), (8, 8));
    let point = |stream| Var::constant(random(&[2, 1, 1, 2], stream));
    let z = |stream| Var::constant(random(&[2, 3], stream));
    let times = |t| Timesteps::Index(vec![t, 1]);
    let g = |x, t, s| no_grad(|| generator.forward(&point(x), &times(t), &z(s))).unwrap().value().to_f64();
    let d = |x, t, y| no_grad(|| discriminator.forward(&point(x), &times(t), &point(y))).unwrap().value().to_f64();
    for network in [&g as &dyn Fn(u64, usize, u64) -> Vec<f64>, &d] {
        let out = network(0, 0, 1);
        // Another time of the first sample changes the first sample alone.
        let later = network(0, 2, 1);
        assert!(later[..out.len() / 2] != out[..out.len() / 2] && later[out.len() / 2..] == out[out.len() / 2..]);
        assert!(network(5, 0, 1) != out && network(0, 0, 6) != out);
    }
}

/// R1 differentiates the gradient of D: it must have derivatives of the second order.
#[test]
fn r1_has_a_gradient() {
    let discriminator = Discriminator::new(&tiny().discriminator, 0, DType::F64, &Device::Cpu).unwrap();
    let (t, x_t1) = (Timesteps::Index(vec![0, 1]), Var::constant(random(&[2, 1, 1, 2], 1)));
    let judge = |x: &[Var]| discriminator.forward(&x[0], &t, &x_t1);
    check_gradients(&judge, &[random(&[2, 1, 1, 2], 0)], 2, 0).unwrap();

    let x_t = Var::leaf(random(&[2, 1, 1, 2], 0));
    let penalty = losses::r1(&judge(std::slice::from_ref(&x_t)).unwrap(), &x_t, 1.0).unwrap();
    let leaves: Vec<Var> = discriminator.params().iter().map(|p| p.var()).collect();
    let gradients = grad(&penalty, None, &leaves.iter().collect::<Vec<_>>(), Graph::Free).unwrap();
    let weights = gradients.iter().zip(discriminator.params()).filter(|(_, p)| p.name().ends_with("weight"));
    for (gradient, param) in weights {
        let norm: f64 = gradient.as_ref().unwrap().value().to_f64().iter().map(|g| g * g).sum();
        assert!(norm > 0.0, "{}", param.name());
    }
}

#[test]
fn networks_of_linear_layers_are_for_points() {
    let refuse = |change: fn(&mut TrainConfig), word: &str| {
        let mut config = tiny();
        change(&mut config);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    tiny().validate().unwrap();
    refuse(|c| c.generator.image_size = 32, "expected 1, a point");
    refuse(|c| c.generator.num_channels_dae = 0, "num_channels_dae");
    refuse(|c| c.generator.network = Default::default(), "cannot be halved");
    refuse(|c| c.discriminator.size = Default::default(), "at least 8x8");
}

fn png_size(path: &Path) -> [u32; 2] {
    let bytes = fs::read(path).unwrap();
    [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
}

#[test]
fn points_are_written_as_plot_array_and_text() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let values = [0.5, -0.25, f32::NAN, 1e30];
    let mut samples = Samples::new(ImageShape::POINT);
    samples.push(&values);
    let plan = |beside| Plan { shape: ImageShape::POINT, count: 2, columns: 1, beside, overwrite: false };
    let write = |name: &str, beside| {
        let mut output = Output::open(&at(name), &plan(beside)).unwrap();
        output.push_next(&samples).unwrap();
        output.finish().unwrap();
    };
    write("a.csv", None);
    assert_eq!(fs::read_to_string(at("a.csv")).unwrap(), "x,y\n0.5,-0.25\nNaN,1000000000000000000000000000000\n");
    write("a.npz", None);
    let mut archive = zip::ZipArchive::new(fs::File::open(at("a.npz")).unwrap()).unwrap();
    let array = npyz::NpyFile::new(archive.by_name("samples.npy").unwrap()).unwrap();
    assert_eq!(array.shape(), [2, 2]);
    assert_eq!(array.into_vec::<f32>().unwrap()[..2], [0.5, -0.25]);
    write("beside.png", Some(Kind::Ring8));
    write("alone.png", None);
    assert_eq!([png_size(&at("beside.png")), png_size(&at("alone.png"))], [[1040, 512], [512, 512]]);
    assert!(Output::open(&at("folder"), &plan(None)).err().unwrap().to_string().contains(".csv"));
    // Nothing at all.
    Samples::new(ImageShape::POINT).save_overview(at("empty.png"), "swissroll").unwrap();
    assert_eq!(png_size(&at("empty.png")), [1040, 512]);
}

/// A point of the plot is where its coordinates say.
#[test]
fn a_scatter_plot_shows_points_in_their_places() {
    let mut points = Points::default();
    points.push(&[1.0, 0.0, 0.0, -1.0]);
    let pixels = points.scatter(None).pixels;
    let red = |x: usize, y: usize| pixels[(y * 512 + x) * 3];
    // 1 of 1.15 on either side of the middle, y upwards.
    let [far, middle] = [(511.0 * (1.0 + 1.0 / 1.15) / 2.0f32).round() as usize, 256];
    assert!(red(far, middle) < 200 && red(middle, far) < 200);
    assert!(red(511 - far, middle) == 255 && red(middle, 511 - far) == 255 && red(middle, middle) == 255);
}

/// A loss that is not finite would be an error.
#[test]
fn a_training_on_points_runs() {
    let config = TrainConfig { batch_size: 64, ..tiny() };
    let mut trainer = Trainer::new(&config, DType::F32, &Device::Cpu).unwrap();
    let toy = Toy::new(Kind::Gaussians25, Split::Train, 0);
    for step in 0..6 {
        let points: Vec<f32> = (64 * step..64 * (step + 1)).flat_map(|i| toy.point(i)).collect();
        let inputs = trainer.draw_inputs(Tensor::from_f32(&points, [64, 1, 1, 2])).unwrap();
        let losses = trainer.step(&inputs, [1e-3, 1e-3]).unwrap();
        assert_eq!(losses.discriminator.unwrap().r1.is_some(), step % 5 == 0);
    }
}

fn at(kind: Kind, mode: usize, deviations: f64) -> [f32; 2] {
    let [x, y] = kind.modes()[mode];
    [(x + deviations * kind.deviation()) as f32, y as f32]
}

#[test]
fn data_covers_itself() {
    for kind in [Kind::Gaussians25, Kind::Ring8] {
        let toy = Toy::new(kind, Split::Test, 0);
        let points: Vec<[f32; 2]> = (0..20_000).map(|i| toy.point(i)).collect();
        let coverage = ModeCoverage::of(&points, kind).unwrap();
        assert_eq!(coverage.recovered, coverage.modes);
        // 1 - e^(-9/2): the share of a Gaussian in the plane within 3 standard deviations.
        assert!((coverage.high_quality - 0.9889).abs() < 0.003 && coverage.kl < 1e-3, "{coverage:?}");
    }
}

#[test]
fn what_lies_far_from_the_modes_does_not_count() {
    let kind = Kind::Ring8;
    let points = [at(kind, 0, 0.0), at(kind, 0, 2.9), at(kind, 1, 2.9), at(kind, 2, 3.1), [f32::NAN, 0.0]];
    let ModeCoverage { recovered, high_quality, kl, .. } = ModeCoverage::of(&points, kind).unwrap();
    let entropy = 3_f64.ln() - 2.0 / 3.0 * 2_f64.ln();
    assert_eq!((recovered, high_quality), (2, 0.6));
    assert!((kl - (8_f64.ln() - entropy)).abs() < 1e-12, "{kl}");
    let none = ModeCoverage::of(&[[0.0, 0.0]], kind).unwrap();
    assert_eq!((none.recovered, none.high_quality, none.kl), (0, 0.0, 8_f64.ln()));
}

#[test]
fn there_is_nothing_to_say_without_points_or_modes() {
    assert_eq!(ModeCoverage::of(&[], Kind::Ring8), None);
    assert_eq!(ModeCoverage::of(&[[0.0, 0.0]], Kind::SwissRoll), None);
}
