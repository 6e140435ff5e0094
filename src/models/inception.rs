//! Inception-v3 (Szegedy et al., CVPR 2016) as FID is defined on it: the network that TensorFlow published on 2015-12-05.
//! Its average pooling does not count padding, its last block takes a maximum instead, and it knows 1,008 classes.
//! Parameters have the names and the layout of the public PyTorch port, `pt_inception-2015-12-05.pth`.

use super::Scores;
use crate::autograd::Var;
use crate::nn::{Init, Param, Scope};
use crate::ops::{Conv2dOptions, ConvEpilogue, Pool2dOptions, Pooling};
use crate::tensor::{DType, Device, Tensor};
use crate::{Error, Result, ops};

/// The network for inference. Batch norms are folded into the convolutions before them.
pub struct Inception {
    blocks: Vec<Block<Layer>>,
    /// [1008, 2048]
    classes: Var,
}

/// Branches side by side, whose channels are joined.
type Block<L> = Vec<Branch<L>>;

struct Branch<L> {
    pool: Option<Pool2dOptions>,
    /// One after another.
    chain: Vec<L>,
    /// Each of what the chain gives, their channels joined.
    fork: Vec<L>,
}

/// A convolution without bias, a batch norm and ReLU.
struct Spec {
    name: String,
    /// C, K.
    channels: [usize; 2],
    /// R, S.
    filter: [usize; 2],
    options: Conv2dOptions,
}

/// The same with its parameters: a convolution with a bias, and ReLU.
struct Layer {
    weight: Var,
    bias: Var,
    options: Conv2dOptions,
}

/// Added to the variance of a batch norm.
const EPSILON: f64 = 1e-3;

impl Inception {
    /// Height and width of the pictures that it was trained on.
    pub const SIDE: usize = 299;
    /// D, the number of features: what TensorFlow calls `pool_3`.
    pub const FEATURES: usize = 2048;
    pub const CLASSES: usize = 1008;

    /// Its parameters, of which only the names and shapes are there.
    pub fn outline() -> Vec<Param> {
        let mut params = Vec::new();
        let mut root = Scope::outline(&mut params);
        for spec in architecture().iter().flatten().flat_map(Branch::layers) {
            let ([c, k], [r, s]) = (spec.channels, spec.filter);
            let mut scope = root.child(&spec.name);
            scope.child("conv").fixed("weight", &[k, r, s, c], Init::Zeros);
            let mut norm = scope.child("bn");
            for name in ["weight", "bias", "running_mean", "running_var"] {
                norm.fixed(name, &[k], Init::Zeros);
            }
        }
        let mut output = root.child("fc");
        output.fixed("weight", &[Self::CLASSES, Self::FEATURES], Init::Zeros);
        output.fixed("bias", &[Self::CLASSES], Init::Zeros);
        params
    }

    /// The network with the values of [`Inception::outline`], in its order.
    pub fn new(values: Vec<Tensor>, device: &Device) -> Result<Inception> {
        let mut values = values.into_iter();
        let mut next = || values.next().expect("a value for every parameter");
        let blocks = architecture().into_iter().map(|block| {
            let branch = |branch: Branch<Spec>| branch.build(&mut |spec| Layer::new(spec, &mut next, device));
            block.into_iter().map(branch).collect::<Result<Block<Layer>>>()
        });
        let blocks = blocks.collect::<Result<_>>()?;
        Ok(Inception { blocks, classes: Var::constant(next().to(DType::F32, device)?) })
    }

    /// Of pictures [N, H, W, 3] in [-1, 1], which are 299x299 where features are compared with those of others.
    ///
    /// The logits leave the output's bias out, as the published Inception Score does.
    pub fn forward(&self, pictures: &Tensor) -> Result<Scores> {
        let mut x = Var::constant(pictures.clone());
        for block in &self.blocks {
            x = join(block.iter().map(|branch| branch.forward(&x)))?;
        }
        let &[_, h, w, _] = x.shape() else {
            return Err(Error::shape("inception", "pictures of [N, H, W, 3]", pictures.shape()));
        };
        let features = ops::affine(&ops::sum_spatial(&x)?, 1.0 / (h * w) as f64, 0.0)?;
        let logits = ops::linear(&features, &self.classes, None)?;
        Ok(Scores { features, logits })
    }
}

impl<L> Branch<L> {
    fn layers(&self) -> impl Iterator<Item = &L> {
        self.chain.iter().chain(&self.fork)
    }
}

impl Branch<Spec> {
    fn build(self, layer: &mut impl FnMut(Spec) -> Result<Layer>) -> Result<Branch<Layer>> {
        let mut build = |specs: Vec<Spec>| specs.into_iter().map(&mut *layer).collect::<Result<Vec<Layer>>>();
        Ok(Branch { pool: self.pool, chain: build(self.chain)?, fork: build(self.fork)? })
    }
}

impl Branch<Layer> {
    fn forward(&self, x: &Var) -> Result<Var> {
        let mut x = match &self.pool {
            Some(options) => Var::constant(ops::pool2d(x.value(), options)?),
            None => x.clone(),
        };
        for layer in &self.chain {
            x = layer.forward(&x)?;
        }
        if self.fork.is_empty() { Ok(x) } else { join(self.fork.iter().map(|layer| layer.forward(&x))) }
    }
}

/// All channels of images of one size.
fn join(mut images: impl Iterator<Item = Result<Var>>) -> Result<Var> {
    let first = images.next().expect("a block has branches")?;
    images.try_fold(first, |joined, image| ops::concat_channels(&joined, &image?))
}

impl Layer {
    /// With the values of the convolution's weight, of the batch norm's scale, shift, mean and variance.
    fn new(spec: Spec, next: &mut impl FnMut() -> Tensor, device: &Device) -> Result<Layer> {
        let weight = next();
        let [scale, shift, mean, variance] = std::array::from_fn(|_| next().to_f64());
        let factors: Vec<f64> = scale.iter().zip(&variance).map(|(a, v)| a / (v + EPSILON).sqrt()).collect();
        let bias: Vec<f64> = shift.iter().zip(&mean).zip(&factors).map(|((b, m), f)| b - m * f).collect();
        let mut folded = weight.to_f64();
        for (filter, factor) in folded.chunks_exact_mut(weight.len() / factors.len()).zip(&factors) {
            filter.iter_mut().for_each(|w| *w *= factor);
        }
        let weight = Tensor::from_values(&folded, weight.shape(), DType::F32, device)?;
        let bias = Tensor::from_values(&bias, [bias.len()], DType::F32, device)?;
        Ok(Layer { weight: Var::constant(weight), bias: Var::constant(bias), options: spec.options })
    }

    fn forward(&self, x: &Var) -> Result<Var> {
        let epilogue = ConvEpilogue { bias: Some(&self.bias), ..Default::default() };
        ops::leaky_relu(&ops::conv2d(x, &self.weight, &self.options, &epilogue)?, 0.0)
    }
}

/// A layer that keeps the size: C to K channels, filters R x S.
fn conv(name: impl Into<String>, channels: [usize; 2], [r, s]: [usize; 2]) -> Spec {
    let options = Conv2dOptions { stride: 1, pad: [r / 2, r / 2, s / 2, s / 2] };
    Spec { name: name.into(), channels, filter: [r, s], options }
}

/// A layer of 3x3 filters without padding.
fn valid(name: impl Into<String>, channels: [usize; 2], stride: usize) -> Spec {
    Spec { options: Conv2dOptions { stride, pad: [0; 4] }, ..conv(name, channels, [3, 3]) }
}

fn branch(layers: impl Into<Vec<Spec>>) -> Branch<Spec> {
    Branch { pool: None, chain: layers.into(), fork: Vec::new() }
}

fn pooled(pool: Pool2dOptions, layers: impl Into<Vec<Spec>>) -> Branch<Spec> {
    Branch { pool: Some(pool), ..branch(layers) }
}

/// Halves the size.
const HALVING: Pool2dOptions = Pool2dOptions { pooling: Pooling::Max, size: 3, stride: 2, pad: 0 };
const MEAN: Pool2dOptions = Pool2dOptions { pooling: Pooling::Average, size: 3, stride: 1, pad: 1 };
const MAX: Pool2dOptions = Pool2dOptions { pooling: Pooling::Max, ..MEAN };

fn architecture() -> Vec<Block<Spec>> {
    vec![
        vec![branch([
            valid("Conv2d_1a_3x3", [3, 32], 2),
            valid("Conv2d_2a_3x3", [32, 32], 1),
            conv("Conv2d_2b_3x3", [32, 64], [3, 3]),
        ])],
        vec![pooled(HALVING, [conv("Conv2d_3b_1x1", [64, 80], [1, 1]), valid("Conv2d_4a_3x3", [80, 192], 1)])],
        vec![pooled(HALVING, [])],
        mixed_a("Mixed_5b", 192, 32),
        mixed_a("Mixed_5c", 256, 64),
        mixed_a("Mixed_5d", 288, 64),
        mixed_b("Mixed_6a"),
        mixed_c("Mixed_6b", 128),
        mixed_c("Mixed_6c", 160),
        mixed_c("Mixed_6d", 160),
        mixed_c("Mixed_6e", 192),
        mixed_d("Mixed_7a"),
        mixed_e("Mixed_7b", 1280, MEAN),
        mixed_e("Mixed_7c", 2048, MAX),
    ]
}

/// C to 224 + `pooled_to` channels at 35x35.
fn mixed_a(block: &str, c: usize, pooled_to: usize) -> Block<Spec> {
    let conv = |name, channels, filter| conv(format!("{block}.{name}"), channels, filter);
    vec![
        branch([conv("branch1x1", [c, 64], [1, 1])]),
        branch([conv("branch5x5_1", [c, 48], [1, 1]), conv("branch5x5_2", [48, 64], [5, 5])]),
        branch([
            conv("branch3x3dbl_1", [c, 64], [1, 1]),
            conv("branch3x3dbl_2", [64, 96], [3, 3]),
            conv("branch3x3dbl_3", [96, 96], [3, 3]),
        ]),
        pooled(MEAN, [conv("branch_pool", [c, pooled_to], [1, 1])]),
    ]
}

/// 288 channels at 35x35 to 768 at 17x17.
fn mixed_b(block: &str) -> Block<Spec> {
    let name = |name| format!("{block}.{name}");
    vec![
        branch([valid(name("branch3x3"), [288, 384], 2)]),
        branch([
            conv(name("branch3x3dbl_1"), [288, 64], [1, 1]),
            conv(name("branch3x3dbl_2"), [64, 96], [3, 3]),
            valid(name("branch3x3dbl_3"), [96, 96], 2),
        ]),
        pooled(HALVING, []),
    ]
}

/// 768 channels at 17x17, with `k` inside of the branches.
fn mixed_c(block: &str, k: usize) -> Block<Spec> {
    let conv = |name, channels, filter| conv(format!("{block}.{name}"), channels, filter);
    vec![
        branch([conv("branch1x1", [768, 192], [1, 1])]),
        branch([
            conv("branch7x7_1", [768, k], [1, 1]),
            conv("branch7x7_2", [k, k], [1, 7]),
            conv("branch7x7_3", [k, 192], [7, 1]),
        ]),
        branch([
            conv("branch7x7dbl_1", [768, k], [1, 1]),
            conv("branch7x7dbl_2", [k, k], [7, 1]),
            conv("branch7x7dbl_3", [k, k], [1, 7]),
            conv("branch7x7dbl_4", [k, k], [7, 1]),
            conv("branch7x7dbl_5", [k, 192], [1, 7]),
        ]),
        pooled(MEAN, [conv("branch_pool", [768, 192], [1, 1])]),
    ]
}

/// 768 channels at 17x17 to 1280 at 8x8.
fn mixed_d(block: &str) -> Block<Spec> {
    let name = |name| format!("{block}.{name}");
    vec![
        branch([conv(name("branch3x3_1"), [768, 192], [1, 1]), valid(name("branch3x3_2"), [192, 320], 2)]),
        branch([
            conv(name("branch7x7x3_1"), [768, 192], [1, 1]),
            conv(name("branch7x7x3_2"), [192, 192], [1, 7]),
            conv(name("branch7x7x3_3"), [192, 192], [7, 1]),
            valid(name("branch7x7x3_4"), [192, 192], 2),
        ]),
        pooled(HALVING, []),
    ]
}

/// C to 2048 channels at 8x8.
fn mixed_e(block: &str, c: usize, pool: Pool2dOptions) -> Block<Spec> {
    let conv = |name, channels, filter| conv(format!("{block}.{name}"), channels, filter);
    let fork = |first, second| vec![conv(first, [384, 384], [1, 3]), conv(second, [384, 384], [3, 1])];
    vec![
        branch([conv("branch1x1", [c, 320], [1, 1])]),
        Branch { fork: fork("branch3x3_2a", "branch3x3_2b"), ..branch([conv("branch3x3_1", [c, 384], [1, 1])]) },
        Branch {
            fork: fork("branch3x3dbl_3a", "branch3x3dbl_3b"),
            ..branch([conv("branch3x3dbl_1", [c, 448], [1, 1]), conv("branch3x3dbl_2", [448, 384], [3, 3])])
        },
        pooled(pool, [conv("branch_pool", [c, 192], [1, 1])]),
    ]
}
