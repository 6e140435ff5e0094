use super::{check, check_coefficients};
use crate::Result;
use crate::backend::dispatch;
use crate::tensor::{Noise, Tensor};

/// Two neighbouring noisy images of each sample, in one pass (DDGAN, equation 1):
///
/// x_t = a x_0 + b noise_t, x_{t+1} = c x_t + d noise_{t+1}; images [N, ...], coefficients a, b, c, d [4, N] in the type
/// that sums of images have. Images are data: there is no gradient.
pub fn forward_pair(
    x0: &Tensor,
    noise_t: impl Into<Noise>,
    noise_t1: impl Into<Noise>,
    coefficients: &Tensor,
) -> Result<(Tensor, Tensor)> {
    check_coefficients("forward_pair", x0, 4, coefficients)?;
    let (x_t, x_t1) = match (noise_t.into(), noise_t1.into()) {
        (Noise::Drawn(key_t), Noise::Drawn(key_t1)) => {
            let (key_t, key_t1) = (key_t.to_device(&x0.device())?, key_t1.to_device(&x0.device())?);
            dispatch!(
                x0.device(),
                forward_noise::pair_drawn(x0.storage(), key_t.storage(), key_t1.storage(), coefficients.storage())
            )?
        }
        (noise_t, noise_t1) => {
            let (noise_t, noise_t1) = (noise_t.numbers(x0)?, noise_t1.numbers(x0)?);
            for noise in [&noise_t, &noise_t1] {
                let same = noise.shape() == x0.shape() && noise.dtype() == x0.dtype();
                check("forward_pair", same, || format!("{x0:?}"), noise)?;
            }
            dispatch!(
                x0.device(),
                forward_noise::pair(x0.storage(), noise_t.storage(), noise_t1.storage(), coefficients.storage())
            )?
        }
    };
    Ok((Tensor::new(x_t, x0.shape()), Tensor::new(x_t1, x0.shape())))
}
