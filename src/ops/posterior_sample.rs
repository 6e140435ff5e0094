use super::{check, check_coefficients, check_same, scale_samples, slice_channels};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::{Noise, Tensor};

/// One draw x_t from the Gaussian posterior q(x_t | x_{t+1}, x_0) in one pass (Ho et al., 2020, equations 6 and 7):
///
/// x_t = a x_0 + b x_{t+1} + s noise; images [N, ...], coefficients a, b, s [3, N] in the type that sums of images have.
/// Where s is 0 the noise is not used. VJP: dx_0 = a dx_t, dx_{t+1} = b dx_t, sample by sample; of any order.
pub fn posterior_step(x0: &Var, x_t1: &Var, noise: impl Into<Noise>, coefficients: &Tensor) -> Result<Var> {
    check_same("posterior_step", x0, x_t1)?;
    let n = check_coefficients("posterior_step", x0.value(), 3, coefficients)?;
    let x_t = match noise.into() {
        Noise::Drawn(key) => {
            let key = key.to_device(&x0.device())?;
            dispatch!(
                x0.device(),
                posterior_sample::drawn(x0.storage(), x_t1.storage(), key.storage(), coefficients.storage())
            )?
        }
        Noise::Given(noise) => {
            let same = noise.shape() == x0.shape() && noise.dtype() == x0.dtype();
            check("posterior_step", same, || format!("noise like {x0:?}"), &noise)?;
            dispatch!(
                x0.device(),
                posterior_sample::forward(x0.storage(), x_t1.storage(), noise.storage(), coefficients.storage())
            )?
        }
    };
    let (coefficients, dtype) = (Var::constant(coefficients.reshape([1, 3 * n])), x0.dtype());
    Ok(Var::from_op("posterior_step", Tensor::new(x_t, x0.shape()), &[x0, x_t1], move |g, wanted| {
        let scaled = |i: usize| {
            let of_samples = || slice_channels(&coefficients, i * n, n)?.value().reshape([n]).cast(dtype);
            wanted[i].then(|| scale_samples(g, &of_samples()?)).transpose()
        };
        Ok(vec![scaled(0)?, scaled(1)?])
    }))
}
