//! First values of parameters.

use crate::error::Result;
use crate::tensor::{DType, Device, Key, Tensor, normal, stream, uniform};

/// How a parameter is initialised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Zeros,
    Ones,
    /// The first half 1, the second half 0: scale and shift of an adaptive norm before it has learnt anything.
    OnesThenZeros,
    /// Normal numbers of this standard deviation.
    Normal(f64),
    /// Uniform in +-sqrt(3 * scale / fan): variance scale / fan. A scale of 0 means 1e-10, as published: a layer that
    /// begins at almost nothing.
    VarianceScaling {
        scale: f64,
        fan: Fan,
    },
}

/// What the variance is divided by, for a weight of shape [K, ..., C] and R*S = the product of the axes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// (C + K) / 2 * R*S: the convolutions and the time embedding of the generator.
    Average,
    /// C * R*S: linear layers between LeakyReLUs.
    In,
    /// K * R*S: the z mapping, the style layers and the discriminator, where the published initialiser takes the
    /// outputs although asked for the average.
    Out,
}

impl Init {
    pub fn average(scale: f64) -> Self {
        Init::VarianceScaling { scale, fan: Fan::Average }
    }

    pub fn out(scale: f64) -> Self {
        Init::VarianceScaling { scale, fan: Fan::Out }
    }

    /// The first value of parameter `name`, drawn from a stream of its own: the order in which layers are built, and
    /// layers added elsewhere, change nothing.
    pub(super) fn tensor(self, shape: &[usize], name: &str, seed: u64, dtype: DType) -> Tensor {
        self.draw(shape, name, seed, dtype).expect("the CPU has no errors of its own")
    }

    fn draw(self, shape: &[usize], name: &str, seed: u64, dtype: DType) -> Result<Tensor> {
        let device = &Device::Cpu;
        let key = Key { seed, stream: stream(name, 0) };
        match self {
            Init::Zeros => Tensor::zeros(shape, dtype, device),
            Init::Ones => Tensor::full(1.0, shape, dtype, device),
            Init::OnesThenZeros => {
                let len: usize = shape.iter().product();
                let values: Vec<f64> = (0..len).map(|i| if i < len / 2 { 1.0 } else { 0.0 }).collect();
                Tensor::from_values(&values, shape, dtype, device)
            }
            Init::Normal(std) => scaled(normal(shape, key, dtype, device)?, std, 0.0),
            Init::VarianceScaling { .. } => {
                let bound = self.bound(shape);
                scaled(uniform(shape, key, dtype, device)?, 2.0 * bound, -bound)
            }
        }
    }

    /// The largest magnitude of a uniform initialisation, for a weight [K, ..., C]; 0 for the others.
    pub fn bound(self, shape: &[usize]) -> f64 {
        let Init::VarianceScaling { scale, fan } = self else { return 0.0 };
        let scale = if scale == 0.0 { 1e-10 } else { scale };
        let (k, c) = (shape[0] as f64, shape[shape.len() - 1] as f64);
        let receptive_field = shape[1..shape.len() - 1].iter().product::<usize>() as f64;
        let fan = match fan {
            Fan::Average => (c + k) / 2.0 * receptive_field,
            Fan::In => c * receptive_field,
            Fan::Out => k * receptive_field,
        };
        (3.0 * scale / fan).sqrt()
    }
}

/// a x + b.
fn scaled(x: Tensor, a: f64, b: f64) -> Result<Tensor> {
    Ok(crate::ops::affine(&crate::autograd::Var::constant(x), a, b)?.into_value())
}
