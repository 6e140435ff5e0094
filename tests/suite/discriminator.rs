//! The discriminators: any batch size, any order of derivative, and what does not fit.

use ddgan::autograd::{Graph, Var, grad, no_grad};
use ddgan::models::discriminator::DiscriminatorSize;
use ddgan::models::{Discriminator, DiscriminatorConfig};
use ddgan::nn::{Param, Timesteps};
use ddgan::ops;
use ddgan::tensor::{DType, Device, Key, Tensor, normal, stream};

fn tiny(size: DiscriminatorSize) -> DiscriminatorConfig {
    DiscriminatorConfig { size, num_channels: 2, image_size: None, ngf: 1, t_emb_dim: 4 }
}

/// In f64, with parameters of ordinary size.
fn new(size: DiscriminatorSize) -> Discriminator {
    let network = Discriminator::new(&tiny(size), 0, DType::F64, &Device::Cpu).unwrap();
    for param in network.params() {
        let key = Key { seed: 2, stream: stream(param.name(), 0) };
        let noise = normal(param.shape(), key, DType::F64, &Device::Cpu).unwrap().to_f64();
        let values: Vec<f64> = param.value().to_f64().iter().zip(noise).map(|(v, n)| v + 0.3 * n).collect();
        param.set(Tensor::from_f64(&values, param.shape())).unwrap();
    }
    network
}

fn images(n: usize, size: usize, stream: u64) -> Tensor {
    normal([n, size, size, 2], Key { seed: 1, stream }, DType::F64, &Device::Cpu).unwrap()
}

fn times(n: usize) -> Timesteps {
    Timesteps::Index((0..n).map(|i| i % 4).collect())
}

#[test]
fn any_batch_size_and_second_order() {
    for (size, image_size) in [(DiscriminatorSize::Small, 8), (DiscriminatorSize::Large, 64)] {
        let network = new(size);
        let params: Vec<Var> = network.params().iter().map(Param::var).collect();
        for n in 1..=9 {
            let (x, x_t1) = (Var::leaf(images(n, image_size, 0)), Var::constant(images(n, image_size, 1)));
            let out = network.forward(&x, &times(n), &x_t1).unwrap();
            assert_eq!(out.shape(), [n, 1]);
            assert!(out.value().to_f64().iter().all(|v| v.is_finite()), "{size:?} for {n}");
            let of_x = grad(&ops::sum_all(&out).unwrap(), None, &[&x], Graph::Create).unwrap().remove(0).unwrap();
            let r1 = ops::sum_all(&ops::mul(&of_x, &of_x).unwrap()).unwrap();
            let gradients = grad(&r1, None, &params.iter().collect::<Vec<_>>(), Graph::Free).unwrap();
            for (param, gradient) in network.params().iter().zip(gradients) {
                let Some(gradient) = gradient else {
                    // Behind the last nonlinearity but LeakyReLU, whose slope no bias changes, dD/dx is blind to biases.
                    assert!(param.name().ends_with("bias"), "{size:?} for {n}: {}", param.name());
                    continue;
                };
                let finite = gradient.value().to_f64().iter().all(|g| g.is_finite());
                assert!(finite, "{size:?} for {n}: {}", param.name());
            }
        }
    }
}

/// Five samples form groups of one, so each is judged alone; of four, each depends on the others.
#[test]
fn samples_of_a_group_see_each_other() {
    let network = new(DiscriminatorSize::Small);
    let run = |x: &Tensor, x_t1: &Tensor, t: &Timesteps| {
        let (x, x_t1) = (Var::constant(x.clone()), Var::constant(x_t1.clone()));
        no_grad(|| network.forward(&x, t, &x_t1)).unwrap().value().to_f64()
    };
    let sample = |x: &Tensor, i: usize| Tensor::from_f64(&x.to_f64()[i * 128..(i + 1) * 128], [1, 8, 8, 2]);
    for (n, alone_is_the_same) in [(5, true), (4, false)] {
        let (x, x_t1) = (images(n, 8, 0), images(n, 8, 1));
        let together = run(&x, &x_t1, &times(n));
        for (i, &together) in together.iter().enumerate() {
            let alone = run(&sample(&x, i), &sample(&x_t1, i), &Timesteps::Index(vec![i % 4]))[0];
            assert_eq!((alone - together).abs() < 1e-12, alone_is_the_same, "{i} of {n}: {alone} {together}");
        }
    }
}

#[test]
fn options_and_inputs_that_do_not_fit() {
    let large = DiscriminatorConfig { image_size: Some(32), ..tiny(DiscriminatorSize::Large) };
    let error = large.validate().unwrap_err().to_string();
    assert!(error.contains("at least 64x64") && error.contains("32"), "{error}");
    assert!(DiscriminatorConfig { t_emb_dim: 1, ..tiny(DiscriminatorSize::Small) }.validate().is_err());
    assert!(DiscriminatorConfig { ngf: 0, ..tiny(DiscriminatorSize::Small) }.validate().is_err());
    assert!(serde_json::from_str::<DiscriminatorConfig>(r#"{"size": "medium"}"#).is_err());

    let network = new(DiscriminatorSize::Small);
    let forward = |x: Tensor, t: usize, x_t1: Tensor| {
        network.forward(&Var::constant(x), &times(t), &Var::constant(x_t1)).err().map(|e| e.to_string())
    };
    assert_eq!(forward(images(2, 8, 0), 2, images(2, 8, 1)), None);
    assert!(forward(images(2, 8, 0), 3, images(2, 8, 1)).unwrap().contains("3 time steps"));
    assert!(forward(images(2, 8, 0), 2, images(2, 16, 1)).is_some());
    assert!(forward(images(2, 4, 0), 2, images(2, 4, 1)).unwrap().contains("at least 8x8"));
}
