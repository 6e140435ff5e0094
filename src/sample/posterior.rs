//! Ancestral sampling (Xiao, Kreis, Vahdat, ICLR 2022, section 3.3): T times the generator predicts x_0, and x_t is
//! drawn from the posterior q(x_t | x_{t+1}, x_0).

use std::ops::Range;

use crate::autograd::{Var, no_grad};
use crate::diffusion::Process;
use crate::error::Result;
use crate::models::Generator;
use crate::tensor::{DType, Device, Key, Tensor, normal, stream};

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

/// Pictures number `samples` of the seed, [N, H, W, C] in [-1, 1]. Each has random numbers of its own: it is the same
/// picture in whatever batch it is drawn.
pub fn draw(
    generator: &Generator,
    process: &Process,
    seed: u64,
    samples: Range<u64>,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let config = generator.config();
    let image = [config.image_size, config.image_size, config.num_channels];
    let random = |what: &str, shape: &[usize]| {
        let one = |i| normal(shape, Key { seed, stream: stream(what, i) }, dtype, &Device::Cpu);
        let mut values = Vec::new();
        for i in samples.clone() {
            values.extend(one(i)?.to_f64());
        }
        let n = values.len() / shape.iter().product::<usize>();
        Tensor::from_values(&values, [&[n], shape].concat(), dtype, device)
    };
    let mut x = random("sample/x_T", &image)?;
    for t in (0..process.num_timesteps()).rev() {
        let z = random(&format!("sample/z/{t}"), &[config.nz])?;
        let noise = random(&format!("sample/noise/{t}"), &image)?;
        x = denoise(generator, process, &x, t, &z, &noise)?.x_t;
    }
    Ok(x)
}
