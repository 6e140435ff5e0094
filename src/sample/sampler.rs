//! Ancestral sampling (Xiao, Kreis, Vahdat, ICLR 2022, section 3.3): T times the generator predicts x_0, and x_t is
//! drawn from the posterior q(x_t | x_{t+1}, x_0). What a DDPM does instead is told in `diffusion/reverse.rs`.

use std::cell::RefCell;
use std::iter::once;
use std::ops::Range;

use super::noise::{Draw, Part, SampleId, numbers};
use super::replay::Replay;
use crate::autograd::{Var, no_grad};
use crate::backend::trace;
use crate::diffusion::Process;
use crate::error::{Error, Result};
use crate::models::Generator;
use crate::tensor::{DType, Device, Tensor};

/// The result of one denoising step.
pub struct Denoised {
    /// The prediction of x_0, [N, H, W, C].
    pub x0: Tensor,
    /// x_t, or the next state, of the same shape.
    pub x_t: Tensor,
}

/// One step from x_{t+1} [N, H, W, C] to x_t (of a DDPM, to its next state), with the generator's latent z [N, nz] and the
/// step's noise.
pub fn denoise(
    generator: &Generator,
    process: &Process,
    x_t1: &Tensor,
    t: usize,
    z: &Tensor,
    noise: &Tensor,
) -> Result<Denoised> {
    let _range = trace::range(|| format!("denoising step {t}"));
    no_grad(|| {
        let times = generator.times(process.schedule(), &vec![t; x_t1.shape()[0]]);
        let x_t1 = Var::constant(x_t1.clone());
        let output = generator.forward(&x_t1, &times, &Var::constant(z.clone()))?;
        let (x0, x_t) = process.denoise(output, &x_t1, t, noise)?;
        Ok(Denoised { x0: x0.into_value(), x_t: x_t.into_value() })
    })
}

/// Draws pictures with one generator. On a GPU the second of two batches of one size is recorded, and that size is
/// from then on drawn with one launch a batch.
pub struct Sampler<'a> {
    pub(super) generator: &'a Generator,
    process: &'a Process,
    pub(super) dtype: DType,
    pub(super) device: Device,
    way: RefCell<Way>,
}

/// How batches are drawn.
enum Way {
    /// Step by step; the last batch was of that size. It loaded what kernels it needs: the next one can be recorded.
    Steps(usize),
    Replay(Box<Replay>),
    /// Step by step, since recording failed.
    Failed(Error),
}

impl<'a> Sampler<'a> {
    /// `dtype` is that of pictures and noise; the generator may compute in another.
    pub fn new(generator: &'a Generator, process: &'a Process, dtype: DType, device: Device) -> Sampler<'a> {
        Sampler { generator, process, dtype, device, way: RefCell::new(Way::Steps(0)) }
    }

    /// The pictures of some draws, [N, H, W, C] in [-1, 1]. On a CPU each has the same bits in whatever batch it is
    /// drawn.
    pub fn draw(&self, draws: &[Draw]) -> Result<Tensor> {
        let mut way = self.way.borrow_mut();
        if matches!(*way, Way::Steps(last) if last == draws.len()) && self.device != Device::Cpu {
            *way = Replay::record(self, draws.len()).map_or_else(Way::Failed, |replay| Way::Replay(Box::new(replay)));
        }
        match &mut *way {
            Way::Replay(replay) if replay.fits(self, draws.len()) => return replay.draw(self, draws),
            Way::Failed(_) => {}
            // What is recorded keeps its memory, which another size may need.
            other => *other = Way::Steps(draws.len()),
        }
        self.trace(draws, |_, _| ())
    }

    /// Whether the next batch of the last one's size takes one launch.
    pub fn is_recorded(&self) -> bool {
        matches!(*self.way.borrow(), Way::Replay(_))
    }

    /// Why a GPU's batches are drawn kernel by kernel for good, which costs time and nothing else.
    pub fn recording_failed(&self) -> Option<String> {
        match &*self.way.borrow() {
            Way::Failed(error) => Some(error.to_string()),
            _ => None,
        }
    }

    /// As [`Sampler::draw`], and shows every step: x_{t+1} and what came of it, from t = T - 1 down.
    pub fn trace(&self, draws: &[Draw], visit: impl FnMut(&Tensor, &Denoised)) -> Result<Tensor> {
        self.walk(|part| self.numbers(draws, part), visit)
    }

    /// The random numbers of a batch for one part.
    pub(super) fn numbers(&self, draws: &[Draw], part: Part) -> Result<Tensor> {
        let shape = self.shape(draws.len(), part);
        Tensor::from_values(&numbers(draws, part, &shape[1..], self.dtype)?, shape, self.dtype, &self.device)
    }

    /// All steps of a batch, from its random numbers.
    pub(super) fn walk(
        &self,
        input: impl Fn(Part) -> Result<Tensor>,
        mut visit: impl FnMut(&Tensor, &Denoised),
    ) -> Result<Tensor> {
        let mut x = input(Part::Start)?;
        for t in self.process.steps() {
            let (z, noise) = (input(Part::Z(t))?, input(Part::Noise(t))?);
            let step = denoise(self.generator, self.process, &x, t, &z, &noise)?;
            visit(&x, &step);
            x = step.x_t;
        }
        Ok(x)
    }

    /// Everything that is random in a batch.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        once(Part::Start).chain(self.process.steps().flat_map(|t| [Part::Z(t), Part::Noise(t)]))
    }

    /// The shape of a part's numbers in a batch.
    pub(super) fn shape(&self, batch: usize, part: Part) -> Vec<usize> {
        let config = self.generator.config();
        match part {
            Part::Z(_) => vec![batch, config.nz],
            Part::Start | Part::Noise(_) => vec![batch, config.image_size, config.image_size, config.num_channels],
        }
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
    Sampler::new(generator, process, dtype, device.clone()).draw(&draws)
}
