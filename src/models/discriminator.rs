//! The time-dependent discriminators of denoising diffusion GANs (Xiao, Kreis, Vahdat, ICLR 2022): D(x_t, t, x_{t+1})
//! tells a true x_t from one that the generator led to. `small` is for pictures of 32x32, `large` for 256x256, `mlp` for
//! points.
//!
//! Every operation here has derivatives of any order: R1 differentiates the gradient of D.

use serde::{Deserialize, Serialize};

use super::mlp::{Mlp, features, fourier_features};
use crate::autograd::Var;
use crate::checkpoint::Tensors;
use crate::error::{Error, Result, check_range};
use crate::nn::{Conv2d, Conv2dSpec, Filter, Fused, Init, Linear, Param, Scope, Timesteps};
use crate::ops;
use crate::ops::Resample;
use crate::tensor::{DType, Device};

const SLOPE: f64 = 0.2;
const FIR_KERNEL: [f64; 4] = [1.0, 3.0, 3.0, 1.0];

/// Which of the published discriminators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscriminatorSize {
    /// Four blocks, three of which halve: for 32x32.
    #[default]
    Small,
    /// Six blocks that halve: for 256x256.
    Large,
    /// Linear layers of width `ngf`, for points: pictures of 1x1 whose coordinates are the channels.
    Mlp,
    /// None at all, without a parameter: a DDPM's.
    None,
}

/// The discriminator's options; what a file leaves out has the published default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscriminatorConfig {
    pub size: DiscriminatorSize,
    /// Channels of the pictures; the network sees twice as many.
    pub num_channels: usize,
    /// Height and width of the pictures, if they are known; the network takes any that it can halve often enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// Base width.
    pub ngf: usize,
    /// Width of the time embedding.
    pub t_emb_dim: usize,
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        let size = DiscriminatorSize::default();
        DiscriminatorConfig { size, num_channels: 3, image_size: None, ngf: 64, t_emb_dim: 256 }
    }
}

impl DiscriminatorConfig {
    /// Output width, as a multiple of ngf, of each block, and whether it halves.
    pub fn blocks(&self) -> &'static [(usize, bool)] {
        match self.size {
            DiscriminatorSize::Small => &[(2, false), (4, true), (8, true), (8, true)],
            DiscriminatorSize::Large => &[(4, true), (8, true), (8, true), (8, true), (8, true), (8, true)],
            DiscriminatorSize::Mlp | DiscriminatorSize::None => &[],
        }
    }

    /// The smallest height and width of which every block's halving leaves at least one pixel.
    fn smallest_image(&self) -> usize {
        1 << self.blocks().iter().filter(|(_, halves)| *halves).count()
    }

    /// Whether the network takes pictures of this height and width.
    fn check_size(&self, image_size: usize) -> Result<()> {
        let (size, smallest) = (format!("{:?}", self.size).to_lowercase(), self.smallest_image());
        if self.size == DiscriminatorSize::Mlp && image_size != 1 {
            return Err(Error::config(format!(
                "a discriminator.size of {size} is for points, pictures of 1x1; image_size is {image_size}"
            )));
        }
        if image_size < smallest {
            return Err(Error::config(format!(
                "a discriminator.size of {size} needs pictures of at least {smallest}x{smallest}; image_size is {image_size}"
            )));
        }
        Ok(())
    }

    /// The options that follow from the names and shapes of a network's parameters.
    ///
    /// Errors: parameters of something else. Whether all of them fit is left to see.
    pub fn infer(tensors: &impl Tensors) -> Result<DiscriminatorConfig> {
        let large = tensors.shape("conv5.conv1.0.weight").is_some();
        let size = if large { DiscriminatorSize::Large } else { DiscriminatorSize::Small };
        match (tensors.shape("start_conv.weight"), tensors.shape("t_embed.main.0.weight")) {
            (Some(&[width, channels, 1, 1]), Some(&[_, t_emb_dim])) => Ok(DiscriminatorConfig {
                size,
                num_channels: channels / 2,
                image_size: None,
                ngf: width / 2,
                t_emb_dim,
            }),
            _ => Err(Error::format(tensors.path(), "holds no discriminator: start_conv and t_embed are not there")),
        }
    }

    pub fn validate(&self) -> Result<()> {
        // A sine and a cosine are the least of an embedding; the rest is far beyond what anyone trains.
        let ranges = [
            ("discriminator.num_channels", self.num_channels, 1..=256),
            ("discriminator.ngf", self.ngf, 1..=1 << 16),
            ("discriminator.t_emb_dim", self.t_emb_dim, 2..=1 << 20),
        ];
        ranges.iter().try_for_each(|(key, value, range)| check_range(key, *value, range))?;
        self.image_size.map_or(Ok(()), |size| self.check_size(size))
    }
}

/// D(x_t, t, x_{t+1}): one logit a sample, positive for true.
pub struct Discriminator {
    config: DiscriminatorConfig,
    params: Vec<Param>,
    body: Body,
    compute: DType,
}

enum Body {
    Convolutional(Box<Convolutional>),
    Mlp(Mlp),
    None,
}

/// The published network for pictures.
struct Convolutional {
    t_emb_dim: usize,
    time_mlp: [Linear; 2],
    start_conv: Conv2d,
    blocks: Vec<DownBlock>,
    final_conv: Conv2d,
    end_linear: Linear,
}

/// With a = LeakyReLU and R = halving, if this block does:
///
/// h = conv1(a(x)) + dense_t1(time);  h = conv2(R(a(h)));  out = (h + skip(R(x))) / sqrt 2
struct DownBlock {
    conv1: Conv2d,
    conv2: Conv2d,
    dense_t1: Linear,
    skip: Conv2d,
    halve: Option<Resample>,
}

impl DownBlock {
    fn new(scope: &mut Scope, inputs: usize, outputs: usize, halves: bool, time_dim: usize) -> Self {
        let conv = |mut scope: Scope, inputs, scale| {
            Conv2d::new(&mut scope, &Conv2dSpec::conv3x3(inputs, outputs, Init::out(scale)))
        };
        let conv1 = conv(scope.child("conv1.0"), inputs, 1.0);
        let conv2 = conv(scope.child("conv2.0"), outputs, 0.0);
        let dense_t1 = Linear::new(&mut scope.child("dense_t1"), time_dim, outputs, Init::out(1.0));
        let skip = Conv2dSpec { bias: false, ..Conv2dSpec::conv1x1(inputs, outputs, Init::out(1.0)) };
        let skip = Conv2d::new(&mut scope.child("skip.0"), &skip);
        let halve = halves.then(|| Filter::Fir(FIR_KERNEL.to_vec()).down());
        DownBlock { conv1, conv2, dense_t1, skip, halve }
    }

    /// x [N, H, W, C], time [N, T] -> [N, P, Q, K].
    fn forward(&self, x: &Var, time: &Var) -> Result<Var> {
        let time_bias = self.dense_t1.forward(time)?;
        let h = ops::leaky_relu(x, SLOPE)?;
        let h = self.conv1.forward_fused(&h, Fused { time_bias: Some(&time_bias), ..Fused::NOTHING })?;
        let mut h = ops::leaky_relu(&h, SLOPE)?;
        let mut x = x.clone();
        if let Some(halve) = &self.halve {
            h = ops::fir_resample(&h, halve)?;
            x = ops::fir_resample(&x, halve)?;
        }
        let shortcut = self.skip.forward(&x)?;
        self.conv2.forward_fused(&h, Fused::residual(&shortcut, std::f64::consts::FRAC_1_SQRT_2))
    }
}

impl Convolutional {
    fn new(root: &mut Scope, config: &DiscriminatorConfig) -> Self {
        let time_dim = config.t_emb_dim;
        let time_mlp = [0, 2].map(|layer| {
            let mut scope = root.child(format_args!("t_embed.main.{layer}"));
            Linear::new(&mut scope, time_dim, time_dim, Init::out(1.0))
        });
        let mut width = 2 * config.ngf;
        let start_conv = Conv2dSpec::conv1x1(2 * config.num_channels, width, Init::out(1.0));
        let start_conv = Conv2d::new(&mut root.child("start_conv"), &start_conv);
        let mut blocks = Vec::new();
        for (index, &(multiple, halves)) in config.blocks().iter().enumerate() {
            let outputs = multiple * config.ngf;
            let mut scope = root.child(format_args!("conv{}", index + 1));
            blocks.push(DownBlock::new(&mut scope, width, outputs, halves, time_dim));
            width = outputs;
        }
        // The published small network begins with almost nothing here, the large one does not.
        let final_scale = if config.size == DiscriminatorSize::Small { 0.0 } else { 1.0 };
        let final_conv = Conv2dSpec::conv3x3(width + 1, width, Init::out(final_scale));
        let final_conv = Conv2d::new(&mut root.child("final_conv"), &final_conv);
        let end_linear = Linear::new(&mut root.child("end_linear"), width, 1, Init::out(1.0));
        Convolutional { t_emb_dim: time_dim, time_mlp, start_conv, blocks, final_conv, end_linear }
    }

    /// Both pictures as one [N, H, W, 2 C] -> [N, 1].
    fn forward(&self, pair: &Var, t: &Timesteps) -> Result<Var> {
        let time = self.embed_time(t, pair)?;
        let mut h = self.start_conv.forward(pair)?;
        for block in &self.blocks {
            h = block.forward(&h, &time)?;
        }
        let h = self.final_conv.forward(&ops::minibatch_stddev(&h)?)?;
        let h = ops::sum_spatial(&ops::leaky_relu(&h, SLOPE)?)?;
        self.end_linear.forward(&h)
    }

    /// [N, t_emb_dim], as every block takes it.
    fn embed_time(&self, t: &Timesteps, like: &Var) -> Result<Var> {
        let [first, second] = &self.time_mlp;
        let h = first.forward(&t.sinusoidal(self.t_emb_dim, like.dtype(), &like.device())?)?;
        ops::leaky_relu(&second.forward(&ops::leaky_relu(&h, SLOPE)?)?, SLOPE)
    }
}

impl Body {
    fn build(config: &DiscriminatorConfig, root: &mut Scope) -> Result<Self> {
        config.validate()?;
        Ok(match config.size {
            DiscriminatorSize::Small | DiscriminatorSize::Large => {
                Body::Convolutional(Box::new(Convolutional::new(root, config)))
            }
            DiscriminatorSize::Mlp => {
                Body::Mlp(Mlp::new(root, features(2 * config.num_channels) + config.t_emb_dim, config.ngf, 1))
            }
            DiscriminatorSize::None => Body::None,
        })
    }
}

impl Discriminator {
    /// A network with first values drawn from `seed`, the same for every instance. Errors: options that cannot work.
    pub fn new(config: &DiscriminatorConfig, seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        let mut params = Vec::new();
        let body = Body::build(config, &mut Scope::root(seed, dtype, &mut params))?;
        params.iter().try_for_each(|p| p.move_to(dtype, device))?;
        Ok(Discriminator { config: config.clone(), params, body, compute: dtype })
    }

    /// The same network computing in another type than that of its parameters, which are cast where they are used.
    pub fn computing_in(self, compute: DType) -> Self {
        Discriminator { compute, ..self }
    }

    /// The parameters of `new` without numbers: names and shapes. Takes no memory to speak of, whatever the widths.
    pub fn outline(config: &DiscriminatorConfig) -> Result<Vec<Param>> {
        let mut params = Vec::new();
        Body::build(config, &mut Scope::outline(&mut params))?;
        Ok(params)
    }

    pub fn config(&self) -> &DiscriminatorConfig {
        &self.config
    }

    /// Every parameter, in published order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The steps t as a tensor on the network's device, where they may change between two launches of recorded work.
    pub fn embedded_times(&self, t: &[usize]) -> Result<Timesteps> {
        let (times, device) = (Timesteps::Index(t.to_vec()), self.params[0].value().device());
        Ok(Timesteps::Embedded(times.sinusoidal(self.config.t_emb_dim, self.compute, &device)?.into_value()))
    }

    /// Logits [N, 1], of the type of x_t [N, H, W, C], at time t, given x_{t+1} of the same shape. Where a batch has more than one
    /// picture, each logit depends on all of its group (minibatch standard deviation).
    pub fn forward(&self, x_t: &Var, t: &Timesteps, x_t1: &Var) -> Result<Var> {
        let n = t.len();
        let fits = matches!(*x_t.shape(), [xn, _, _, c] if xn == n && c == self.config.num_channels);
        if !fits || x_t.shape() != x_t1.shape() {
            let expected = format!("two of [{n}, H, W, {}] for {n} time steps", self.config.num_channels);
            return Err(Error::shape("discriminator", expected, (x_t, x_t1)));
        }
        self.config.check_size(x_t.shape()[1].min(x_t.shape()[2]))?;
        let pair = ops::cast(&ops::concat_channels(x_t, x_t1)?, self.compute)?;
        let logits = match &self.body {
            Body::Convolutional(network) => network.forward(&pair, t)?,
            Body::Mlp(network) => {
                let pair = ops::reshape(&pair, &[n, 2 * self.config.num_channels])?;
                let time = t.sinusoidal(self.config.t_emb_dim, pair.dtype(), &pair.device())?;
                network.forward(&ops::concat_channels(&fourier_features(&pair)?, &time)?)?
            }
            Body::None => return Err(Error::config("discriminator.size is none: there is nothing that could judge")),
        };
        ops::cast(&logits, x_t.dtype())
    }
}
