//! Ancestral sampling (Xiao, Kreis, Vahdat, ICLR 2022, section 3.3): T times the generator predicts x_0, and x_t is
//! drawn from the posterior q(x_t | x_{t+1}, x_0).

use std::ops::Range;

use super::noise::{Draw, Part, SampleId, numbers};
use crate::autograd::{Var, no_grad};
use crate::diffusion::Process;
use crate::error::Result;
use crate::models::Generator;
use crate::tensor::{DType, Device, Tensor};

/// The result of one denoising step.
pub struct Denoised {
    /// The prediction of x_0, [N, H, W, C].
    pub x0: Tensor,
    /// x_t of the same shape.
    pub x_t: Tensor,
}

/// One step from x_{t+1} [N, H, W, C] to x_t, with the generator's latent z [N, nz] and the posterior's noise.
pub fn denoise(
    generator: &Generator,
    process: &Process,
    x_t1: &Tensor,
    t: usize,
    z: &Tensor,
    noise: &Tensor,
) -> Result<Denoised> {
    no_grad(|| {
        let t = vec![t; x_t1.shape()[0]];
        let x_t1 = Var::constant(x_t1.clone());
        let x0 = generator.forward(&x_t1, &generator.times(process.schedule(), &t), &Var::constant(z.clone()))?;
        let x_t = process.posterior_step(&x0, &x_t1, &t, noise)?;
        Ok(Denoised { x0: x0.into_value(), x_t: x_t.into_value() })
    })
}

/// Draws pictures with one generator.
pub struct Sampler<'a> {
    pub generator: &'a Generator,
    pub process: &'a Process,
    /// Of pictures and noise; the generator may compute in another.
    pub dtype: DType,
    pub device: Device,
}

impl Sampler<'_> {
    /// The pictures of some draws, [N, H, W, C] in [-1, 1]. On a CPU each has the same bits in whatever batch it is
    /// drawn.
    pub fn draw(&self, draws: &[Draw]) -> Result<Tensor> {
        self.trace(draws, |_, _| ())
    }

    /// As [`Sampler::draw`], and shows every step: x_{t+1} and what came of it, from t = T - 1 down to 0.
    pub fn trace(&self, draws: &[Draw], mut visit: impl FnMut(&Tensor, &Denoised)) -> Result<Tensor> {
        let Sampler { generator, process, dtype, device } = self;
        let config = generator.config();
        let image = [config.image_size, config.image_size, config.num_channels];
        let numbers = |part, shape: &[usize]| numbers(draws, part, shape, *dtype, device);
        let mut x = numbers(Part::Start, &image)?;
        for t in (0..process.num_timesteps()).rev() {
            let (z, noise) = (numbers(Part::Z(t), &[config.nz])?, numbers(Part::Noise(t), &image)?);
            let step = denoise(generator, process, &x, t, &z, &noise)?;
            visit(&x, &step);
            x = step.x_t;
        }
        Ok(x)
    }
}

/// Pictures number `samples` of a seed, [N, H, W, C] in [-1, 1].
pub fn draw(
    generator: &Generator,
    process: &Process,
    seed: u64,
    samples: Range<u64>,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let draws: Vec<Draw> = samples.map(|index| Draw::Plain(SampleId { seed, index })).collect();
    Sampler { generator, process, dtype, device: device.clone() }.draw(&draws)
}
