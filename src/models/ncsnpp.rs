//! The generator: NCSN++ (Song et al., ICLR 2021) with a latent z, as denoising diffusion GANs use it (Xiao, Kreis,
//! Vahdat, ICLR 2022). G(x_t, t, z) predicts the clean picture x_0.
//!
//! A U-Net: levels of residual blocks on the way down, each half the size of the one before; a middle with attention;
//! levels on the way up, whose every block also sees the matching output of the way down. The z mapping's result
//! scales and shifts every adaptive group norm, the time is added inside every block. Parameters carry their
//! published names, `all_modules.N` for the N-th part in the order of construction.

mod block;
mod config;
mod down;
mod up;

pub use config::{Combine, EmbeddingType, GeneratorConfig, ProgressiveInput, ProgressiveOutput, ResBlockType};

use block::{Condition, ResBlock, Resizing};
use down::DownLevel;
use up::{Tail, UpLevel};

use crate::autograd::Var;
use crate::diffusion::Schedule;
use crate::nn::{Attention, Conv2d, Conv2dSpec, Filter, FourierEmbedding, Init, Linear, Param, Scope, Timesteps};
use crate::tensor::{DType, Device, Key};
use crate::{Error, Result, ops};

/// G(x_t, t, z).
pub struct Generator {
    config: GeneratorConfig,
    params: Vec<Param>,
    fourier: Option<FourierEmbedding>,
    /// Two layers, if the network is told the time.
    time_mlp: Option<[Linear; 2]>,
    stem: Conv2d,
    down: Vec<DownLevel>,
    middle: (ResBlock, Attention, ResBlock),
    up: Vec<UpLevel>,
    /// `None` where every level adds its own part of the picture.
    tail: Option<Tail>,
    z_mapping: Vec<Linear>,
}

/// Numbers the parts `all_modules.0`, `all_modules.1`, ... as they are built.
struct Modules<'a, 'b> {
    root: &'a mut Scope<'b>,
    next: usize,
}

impl Modules<'_, '_> {
    fn next(&mut self) -> Scope<'_> {
        let index = self.next;
        self.next += 1;
        self.root.child(format_args!("all_modules.{index}"))
    }
}

impl GeneratorConfig {
    fn filter(&self) -> Filter {
        if self.fir { Filter::Fir(self.fir_kernel.clone()) } else { Filter::Box }
    }

    /// What the sum of a block and its shortcut is multiplied by.
    fn rescale(&self) -> f64 {
        if self.skip_rescale { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 }
    }

    /// The width of the time embedding before its two layers.
    fn embedding_width(&self) -> usize {
        match self.embedding_type {
            EmbeddingType::Positional => self.num_channels_dae,
            EmbeddingType::Fourier => 2 * self.num_channels_dae,
        }
    }
}

impl Generator {
    /// A network with first values drawn from `seed`, the same for every instance.
    ///
    /// Errors: options that cannot work ([`GeneratorConfig::validate`]), widths that group norm cannot divide.
    pub fn new(config: &GeneratorConfig, seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        let mut params = Vec::new();
        let network = Self::build(config, &mut Scope::root(seed, dtype, &mut params))?;
        params.iter().try_for_each(|p| p.move_to(device))?;
        Ok(Generator { params, ..network })
    }

    /// The parameters of `new` without numbers: names and shapes. Takes no memory to speak of, whatever the widths.
    pub fn outline(config: &GeneratorConfig) -> Result<Vec<Param>> {
        let mut params = Vec::new();
        Self::build(config, &mut Scope::outline(&mut params))?;
        Ok(params)
    }

    /// The layers; the parameters are left with the scope.
    fn build(config: &GeneratorConfig, root: &mut Scope) -> Result<Self> {
        config.validate()?;
        let mut modules = Modules { root, next: 0 };
        let width = config.num_channels_dae;

        let fourier = (config.embedding_type == EmbeddingType::Fourier)
            .then(|| FourierEmbedding::new(&mut modules.next(), width, config.fourier_scale));
        let time_mlp = config.conditional.then(|| {
            [config.embedding_width(), 4 * width]
                .map(|inputs| Linear::new(&mut modules.next(), inputs, 4 * width, Init::average(1.0)))
        });
        let stem = Conv2dSpec::conv3x3(config.num_channels, width, Init::average(1.0));
        let stem = Conv2d::new(&mut modules.next(), &stem);
        let (down, mut skips) = down::build(&mut modules, config)?;
        let deepest = *skips.last().expect("the stem's output");
        let middle = (
            ResBlock::new(&mut modules.next(), config, deepest, deepest, Resizing::Keep)?,
            Attention::new(&mut modules.next(), deepest, config.rescale())?,
            ResBlock::new(&mut modules.next(), config, deepest, deepest, Resizing::Keep)?,
        );
        let (up, tail) = up::build(&mut modules, config, deepest, &mut skips)?;
        let z_mapping = (0..=config.n_mlp)
            .map(|layer| {
                // Between the linear layers, and before the first, stand layers without parameters.
                let mut scope = root.child(format_args!("z_transform.{}", 2 * layer + 1));
                let inputs = if layer == 0 { config.nz } else { config.z_emb_dim };
                Linear::new(&mut scope, inputs, config.z_emb_dim, Init::out(1.0))
            })
            .collect();
        let (config, params) = (config.clone(), Vec::new());
        Ok(Generator { config, params, fourier, time_mlp, stem, down, middle, up, tail, z_mapping })
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
        match self.config.embedding_type {
            EmbeddingType::Positional => Timesteps::Index(t.to_vec()),
            EmbeddingType::Fourier => {
                let level = |&t: &usize| schedule.sigmas_cum[t + 1] / schedule.a_s_cum[t + 1];
                Timesteps::NoiseLevel(t.iter().map(level).collect())
            }
        }
    }

    /// The prediction of x_0 from x_t [N, H, W, C], the time of each sample and z [N, nz]; the shape of x_t.
    pub fn forward(&self, x: &Var, t: &Timesteps, z: &Var) -> Result<Var> {
        self.run(x, t, z, None)
    }

    /// `forward` with dropout, drawn from `dropout`; use another stream for each training step.
    pub fn forward_train(&self, x: &Var, t: &Timesteps, z: &Var, dropout: Key) -> Result<Var> {
        self.run(x, t, z, Some(dropout))
    }

    fn run(&self, x: &Var, t: &Timesteps, z: &Var, dropout: Option<Key>) -> Result<Var> {
        self.check_inputs(x, t, z)?;
        let z = self.map_z(z)?;
        let time = self.embed_time(t, x)?;
        let condition = Condition { z: &z, time: time.as_ref(), dropout };
        let x = if self.config.centered { x.clone() } else { ops::affine(x, 2.0, -1.0)? };

        let mut skips = vec![self.stem.forward(&x)?];
        let mut picture = x;
        for level in &self.down {
            level.forward(&mut skips, &mut picture, &condition)?;
        }
        let (before, attention, after) = &self.middle;
        let mut h = before.forward(skips.last().expect("the stem's output"), &condition)?;
        h = attention.forward(&h)?;
        h = after.forward(&h, &condition)?;
        let mut pyramid = None;
        for level in &self.up {
            h = level.forward(h, &mut skips, &mut pyramid, &condition)?;
        }
        let out = match (&self.tail, pyramid) {
            (Some(tail), _) => tail.forward(&h)?,
            (None, pyramid) => pyramid.expect("without a tail every level adds to the picture"),
        };
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

    /// z [N, nz] -> [N, z_emb_dim].
    fn map_z(&self, z: &Var) -> Result<Var> {
        let mut h = ops::pixel_norm(z)?;
        for layer in &self.z_mapping {
            h = ops::silu(&layer.forward(&h)?)?;
        }
        Ok(h)
    }

    /// SiLU of the time embedding [N, 4 width], which is how every block takes it.
    fn embed_time(&self, t: &Timesteps, like: &Var) -> Result<Option<Var>> {
        let Some([first, second]) = &self.time_mlp else { return Ok(None) };
        let embedding = match &self.fourier {
            Some(fourier) => fourier.forward(t)?,
            None => t.sinusoidal(self.config.embedding_width(), like.dtype(), &like.device())?,
        };
        let h = ops::silu(&first.forward(&embedding)?)?;
        Ok(Some(ops::silu(&second.forward(&h)?)?))
    }
}
