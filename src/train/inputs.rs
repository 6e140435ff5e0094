//! Everything random that a training step uses, either drawn or given.

use std::ops::Range;

use crate::autograd::Var;
use crate::error::{Error, Result};
use crate::ops;
use crate::tensor::{DType, Device, Key, Noise, Tensor, normal, stream, uniform};

/// The random inputs of one half of a step, the discriminator's or the generator's.
pub struct HalfInputs {
    /// [N], uniform in 0 .. T-1.
    pub t: Vec<usize>,
    /// Standard normal, like the pictures: they make x_t from x_0, and x_{t+1} from x_t.
    pub noise_t: Noise,
    pub noise_t1: Noise,
    /// [N, nz], standard normal: the generator's latent.
    pub z: Tensor,
    /// Standard normal, like the pictures: the posterior's.
    pub noise_post: Noise,
    /// What the generator's dropout is drawn from, if it has any.
    pub dropout: Key,
}

/// What one training step works on.
pub struct StepInputs {
    /// x_0 [N, H, W, C] in [-1, 1].
    pub real: Tensor,
    pub discriminator: HalfInputs,
    pub generator: HalfInputs,
}

impl HalfInputs {
    /// Part number `i`, the pictures `range`, of a batch like `real`.
    fn part(&self, i: usize, range: &Range<usize>, real: &Tensor) -> Result<HalfInputs> {
        let noise = |noise: &Noise| Ok::<Noise, Error>(pictures(&noise.numbers(real)?, range)?.into());
        Ok(HalfInputs {
            t: self.t[range.clone()].to_vec(),
            noise_t: noise(&self.noise_t)?,
            noise_t1: noise(&self.noise_t1)?,
            z: pictures(&self.z, range)?,
            noise_post: noise(&self.noise_post)?,
            dropout: Key { stream: stream(&self.dropout.stream.to_string(), i as u64), ..self.dropout },
        })
    }
}

/// Some samples of [N, ...].
fn pictures(x: &Tensor, range: &Range<usize>) -> Result<Tensor> {
    let shape = [&[range.len()], &x.shape()[1..]].concat();
    if x.is_empty() {
        return Ok(x.reshape(shape));
    }
    let size = x.len() / x.shape()[0];
    let row = Var::constant(x.reshape([1, x.len()]));
    let part = ops::slice_channels(&row, range.start * size, range.len() * size)?.into_value();
    Ok(part.reshape(shape))
}

/// The sizes of a step's random inputs, and what names their sequences.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    pub seed: u64,
    /// The number of the step, counted from 0 over the whole training.
    pub step: u64,
    pub num_timesteps: usize,
    pub nz: usize,
}

impl StepInputs {
    /// Draws what a step needs around its pictures. It follows from the seed and the number of the step alone, so
    /// that a resumed training sees what one that was not stopped would have seen.
    pub(super) fn draw(real: Tensor, draw: &Draw) -> Result<StepInputs> {
        let (discriminator, generator) = (draw.half("discriminator", &real)?, draw.half("generator", &real)?);
        Ok(StepInputs { real, discriminator, generator })
    }

    /// The same in as many parts, of sizes that differ by one at most; fewer if there are not so many pictures.
    pub(super) fn parts(&self, parts: usize) -> Result<Vec<StepInputs>> {
        let n = self.real.shape()[0];
        let parts = parts.min(n);
        let part = |i: usize| {
            let range = i * n / parts..(i + 1) * n / parts;
            let real = pictures(&self.real, &range)?;
            let half = |half: &HalfInputs| half.part(i, &range, &self.real);
            Ok(StepInputs { real, discriminator: half(&self.discriminator)?, generator: half(&self.generator)? })
        };
        (0..parts).map(part).collect()
    }
}

impl Draw {
    fn half(&self, half: &str, real: &Tensor) -> Result<HalfInputs> {
        let n = real.shape()[0];
        let key = |what: &str| Key { seed: self.seed, stream: stream(&format!("train/{half}/{what}"), self.step) };
        let times = uniform([n], key("t"), DType::F32, &Device::Cpu)?.to_f32();
        // Uniform numbers are in (0, 1].
        let t = times.iter().map(|&u| (u as f64 * self.num_timesteps as f64).ceil() as usize - 1).collect();
        Ok(HalfInputs {
            t,
            noise_t: key("noise_t").into(),
            noise_t1: key("noise_t1").into(),
            z: normal([n, self.nz], key("z"), real.dtype(), &real.device())?,
            noise_post: key("noise_post").into(),
            dropout: key("dropout"),
        })
    }
}
