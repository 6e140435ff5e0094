//! G(x_t, t, z): the network that a denoising diffusion GAN trains to predict the clean x_0 (Xiao, Kreis, Vahdat, ICLR
//! 2022), and without z the one that a DDPM trains to predict the noise. What it is made of is an option.

use super::mlp::{Mlp, features, fourier_features};
use super::ncsnpp::{EmbeddingType, GeneratorConfig, Ncsnpp, Network};
use crate::autograd::Var;
use crate::diffusion::Schedule;
use crate::nn::{Param, Scope, Timesteps};
use crate::tensor::{DType, Device, Key};
use crate::{Error, Result, ops};

/// G(x_t, t, z).
pub struct Generator {
    config: GeneratorConfig,
    params: Vec<Param>,
    body: Body,
    compute: DType,
}

enum Body {
    Ncsnpp(Box<Ncsnpp>),
    Mlp(Mlp),
}

impl Body {
    fn build(config: &GeneratorConfig, root: &mut Scope) -> Result<Self> {
        config.validate()?;
        Ok(match config.network {
            Network::Ncsnpp => Body::Ncsnpp(Box::new(Ncsnpp::new(root, config)?)),
            Network::Mlp => {
                let time = if config.conditional { TIME_WIDTH } else { 0 };
                let inputs = features(config.num_channels) + config.nz + time;
                Body::Mlp(Mlp::new(root, inputs, config.num_channels_dae, config.num_channels))
            }
        })
    }
}

impl Generator {
    /// A network with first values drawn from `seed`, the same for every instance.
    ///
    /// Errors: options that cannot work ([`GeneratorConfig::validate`]), widths that group norm cannot divide.
    pub fn new(config: &GeneratorConfig, seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        let mut params = Vec::new();
        let body = Body::build(config, &mut Scope::root(seed, dtype, &mut params))?;
        params.iter().try_for_each(|p| p.move_to(dtype, device))?;
        Ok(Generator { config: config.clone(), params, body, compute: dtype })
    }

    /// The same network computing in another type than that of its parameters, which are cast where they are used.
    pub fn computing_in(self, compute: DType) -> Self {
        Generator { compute, ..self }
    }

    /// The parameters of `new` without numbers: names and shapes. Takes no memory to speak of, whatever the widths.
    pub fn outline(config: &GeneratorConfig) -> Result<Vec<Param>> {
        let mut params = Vec::new();
        Body::build(config, &mut Scope::outline(&mut params))?;
        Ok(params)
    }

    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// Every parameter, in published order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// How this network is told the steps t (from x_{t+1} to x_t) of a schedule. The noise level of a Fourier embedding
    /// is the noise of x_{t+1} relative to its signal, which is never 0.
    pub fn times(&self, schedule: &Schedule, t: &[usize]) -> Timesteps {
        match (&self.body, self.config.embedding_type) {
            (Body::Mlp(_), _) | (_, EmbeddingType::Positional) => Timesteps::Index(t.to_vec()),
            (_, EmbeddingType::Fourier) => {
                let level = |&t: &usize| schedule.sigmas_cum[t + 1] / schedule.a_s_cum[t + 1];
                Timesteps::NoiseLevel(t.iter().map(level).collect())
            }
        }
    }

    /// [`Generator::times`] as tensors on the network's device, where they may change between two launches of recorded
    /// work.
    pub fn embedded_times(&self, schedule: &Schedule, t: &[usize]) -> Result<Timesteps> {
        let (times, device) = (self.times(schedule, t), self.params[0].value().device());
        match &self.body {
            Body::Ncsnpp(network) => network.embed(times, self.compute, &device),
            Body::Mlp(_) => Ok(Timesteps::Embedded(times.sinusoidal(TIME_WIDTH, self.compute, &device)?.into_value())),
        }
    }

    /// The prediction from x_t [N, H, W, C], the time of each sample and z [N, nz]; the shape and type of x_t.
    pub fn forward(&self, x: &Var, t: &Timesteps, z: &Var) -> Result<Var> {
        self.run(x, t, z, None)
    }

    /// `forward` with dropout, drawn from `dropout`; use another stream for each training step.
    pub fn forward_train(&self, x: &Var, t: &Timesteps, z: &Var, dropout: Key) -> Result<Var> {
        self.run(x, t, z, Some(dropout))
    }

    fn run(&self, x: &Var, t: &Timesteps, z: &Var, dropout: Option<Key>) -> Result<Var> {
        self.check_inputs(x, t, z)?;
        let picture = x;
        let (x, z) = (&ops::cast(x, self.compute)?, &ops::cast(z, self.compute)?);
        let out = match &self.body {
            Body::Ncsnpp(network) => network.forward(x, t, z, dropout)?,
            Body::Mlp(network) => {
                let point = ops::reshape(x, &[t.len(), self.config.num_channels])?;
                let mut h = fourier_features(&point)?;
                if self.config.nz > 0 {
                    h = ops::concat_channels(&h, z)?;
                }
                if self.config.conditional {
                    h = ops::concat_channels(&h, &t.sinusoidal(TIME_WIDTH, x.dtype(), &x.device())?)?;
                }
                ops::reshape(&network.forward(&h)?, x.shape())?
            }
        };
        let out = ops::cast(&out, picture.dtype())?;
        if self.config.not_use_tanh { Ok(out) } else { ops::tanh(&out) }
    }

    fn check_inputs(&self, x: &Var, t: &Timesteps, z: &Var) -> Result<()> {
        let GeneratorConfig { image_size, num_channels, nz, .. } = self.config;
        let n = t.len();
        if *x.shape() != [n, image_size, image_size, num_channels] {
            let expected = format!("x of shape [{n}, {image_size}, {image_size}, {num_channels}] for {n} time steps");
            return Err(Error::shape("generator", expected, x.shape()));
        }
        if *z.shape() != [n, nz] {
            return Err(Error::shape("generator", format!("z of shape [{n}, {nz}] for {n} time steps"), z.shape()));
        }
        Ok(())
    }
}

/// Sines and cosines that tell an MLP the time: enough to keep a few steps apart, too few to drown the point.
const TIME_WIDTH: usize = 8;
