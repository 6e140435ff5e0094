use super::check;
use crate::backend::{dispatch, params};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What the pixels of a window become, channel by channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Max,
    /// The mean of the pixels inside of the image: padding does not count.
    Average,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2dOptions {
    pub pooling: Pooling,
    /// Height and width of a window.
    pub size: usize,
    pub stride: usize,
    /// Pixels on every side of the image, less than `size`.
    pub pad: usize,
}

/// x [N, H, W, C] -> y [N, P, Q, C], P = (H + 2 pad - size) / stride + 1:
///
/// y[n, p, q] = the maximum or the mean of those x[n, p stride + r - pad, q stride + s - pad], r and s < size, that are
/// in the image.
///
/// From tensor to tensor: it has no gradient.
pub fn pool2d(x: &Tensor, options: &Pool2dOptions) -> Result<Tensor> {
    let &Pool2dOptions { pooling, size, stride, pad } = options;
    let &[n, h, w, c] = x.shape() else {
        return Err(Error::shape("pool2d", "[N, H, W, C]", x.shape()));
    };
    let fits = stride > 0 && pad < size && h.min(w) + 2 * pad >= size;
    check("pool2d", fits, || format!("an image of at least {size}x{size} with padding {pad}"), x.shape())?;
    let out = |size_of_x: usize| (size_of_x + 2 * pad - size) / stride + 1;
    let average = pooling == Pooling::Average;
    let g = params::Pool2d { n, h, w, c, p: out(h), q: out(w), size, stride, pad, average };
    let y = dispatch!(x.device(), pool2d::forward(x.storage(); &g))?;
    Ok(Tensor::new(y, [n, g.p, g.q, c]))
}
