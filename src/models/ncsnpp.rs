//! NCSN++ (Song et al., ICLR 2021) with a latent z, as denoising diffusion GANs use it (Xiao, Kreis, Vahdat, ICLR 2022).
//!
//! A U-Net: levels of residual blocks on the way down, each half the size of the one before; a middle with attention;
//! levels on the way up, whose every block also sees the matching output of the way down. The z mapping's result
//! scales and shifts every adaptive group norm, the time is added inside every block. Parameters carry their
//! published names, `all_modules.N` for the N-th part in the order of construction.
//!
//! Without z (`nz` 0) it is the NCSN++ of a diffusion model: a norm's `style` gives way to a `weight` and `bias`, and there
//! is no `z_transform`; all else keeps name and shape.

mod block;
mod config;
mod down;
mod infer;
mod up;

pub use config::{Combine, EmbeddingType, GeneratorConfig, Network, ProgressiveInput, ProgressiveOutput, ResBlockType};

use block::{Condition, ResBlock, Resizing};
use down::DownLevel;
use up::{Tail, UpLevel};

use crate::autograd::Var;
use crate::nn::{Attention, Conv2d, Conv2dSpec, Filter, FourierEmbedding, Init, Linear, Scope, Timesteps};
use crate::tensor::{DType, Device, Key};
use crate::{Result, ops};

/// The network of [`super::Generator`] for pictures.
pub(super) struct Ncsnpp {
    config: GeneratorConfig,
    fourier: Option<FourierEmbedding>,
    /// Two layers, if the network is told the time.
    time_mlp: Option<[Linear; 2]>,
    stem: Conv2d,
    down: Vec<DownLevel>,
    middle: (ResBlock, Attention, ResBlock),
    up: Vec<UpLevel>,
    /// `None` where every level adds its own part of the picture.
    tail: Option<Tail>,
    /// Empty without z.
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

impl Ncsnpp {
    /// Errors: widths that group norm cannot divide.
    pub fn new(root: &mut Scope, config: &GeneratorConfig) -> Result<Self> {
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
        let z_layers = if config.nz > 0 { config.n_mlp + 1 } else { 0 };
        let z_mapping = (0..z_layers)
            .map(|layer| {
                // Between the linear layers, and before the first, stand layers without parameters.
                let mut scope = root.child(format_args!("z_transform.{}", 2 * layer + 1));
                let inputs = if layer == 0 { config.nz } else { config.z_emb_dim };
                Linear::new(&mut scope, inputs, config.z_emb_dim, Init::out(1.0))
            })
            .collect();
        Ok(Ncsnpp { config: config.clone(), fourier, time_mlp, stem, down, middle, up, tail, z_mapping })
    }

    /// The prediction of x_0, before tanh, from x_t [N, H, W, C], the time of each sample and z [N, nz]; the shape of
    /// x_t.
    pub fn forward(&self, x: &Var, t: &Timesteps, z: &Var, dropout: Option<Key>) -> Result<Var> {
        let z = self.map_z(z)?;
        let time = self.embed_time(t, x)?;
        let condition = Condition { z: z.as_ref(), time: time.as_ref(), dropout };
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
        match (&self.tail, pyramid) {
            (Some(tail), _) => tail.forward(&h),
            (None, pyramid) => Ok(pyramid.expect("without a tail every level adds to the picture")),
        }
    }

    /// z [N, nz] -> [N, z_emb_dim].
    fn map_z(&self, z: &Var) -> Result<Option<Var>> {
        if self.z_mapping.is_empty() {
            return Ok(None);
        }
        let mut h = ops::pixel_norm(z)?;
        for layer in &self.z_mapping {
            h = ops::silu(&layer.forward(&h)?)?;
        }
        Ok(Some(h))
    }

    /// SiLU of the time embedding [N, 4 width], which is how every block takes it.
    fn embed_time(&self, t: &Timesteps, like: &Var) -> Result<Option<Var>> {
        let Some([first, second]) = &self.time_mlp else { return Ok(None) };
        let h = ops::silu(&first.forward(&self.embedding(t, like.dtype(), &like.device())?)?)?;
        Ok(Some(ops::silu(&second.forward(&h)?)?))
    }

    /// What stands before the two layers, [N, embedding width].
    fn embedding(&self, t: &Timesteps, dtype: DType, device: &Device) -> Result<Var> {
        match &self.fourier {
            Some(fourier) => ops::cast(&fourier.forward(t)?, dtype),
            None => t.sinusoidal(self.config.embedding_width(), dtype, device),
        }
    }

    /// The time as [`Ncsnpp::forward`] reads it without computing anything from t: embedded, if it is told at all.
    pub fn embed(&self, t: Timesteps, dtype: DType, device: &Device) -> Result<Timesteps> {
        if self.time_mlp.is_none() {
            return Ok(t);
        }
        Ok(Timesteps::Embedded(self.embedding(&t, dtype, device)?.into_value()))
    }
}
