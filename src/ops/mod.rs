//! Operations on [`Var`]s, one file each: what it computes, the check of its shapes, forward and VJP together.
//!
//! A VJP is written in operations, so a gradient can be differentiated again; where it is a fused kernel of its own
//! (SiLU, group norm, attention), a second derivative is an error that names the operation.

mod adam;
mod affine;
mod attention;
mod cast;
mod concat;
mod conv2d;
mod dropout;
mod embedding;
mod forward_noise;
mod group_norm;
mod leaky_relu;
mod linear;
mod minibatch_stddev;
mod mul;
mod pixel_norm;
mod pool2d;
mod posterior_sample;
mod power;
mod resample;
mod scale_add;
mod scale_samples;
mod silu;
mod sin;
mod softplus;
mod sum;
mod tanh;

pub use crate::autograd::add;
pub use adam::{Adam, AdamState, AdamUpdate, adam_ema};
pub use affine::affine;
pub use attention::attention;
pub use cast::cast;
pub use concat::{concat_channels, slice_channels};
pub use conv2d::{Conv2dOptions, ConvEpilogue, conv2d};
pub use dropout::dropout;
pub use embedding::{fourier_embedding, sinusoidal_embedding};
pub use forward_noise::forward_pair;
pub use group_norm::{GroupNormOptions, group_norm};
pub use leaky_relu::leaky_relu;
pub use linear::{linear, matmul};
pub use minibatch_stddev::minibatch_stddev;
pub use mul::mul;
pub use pixel_norm::pixel_norm;
pub use pool2d::{Pool2dOptions, Pooling, pool2d};
pub use posterior_sample::posterior_step;
pub use power::power;
pub use resample::{Resample, fir_resample};
pub use scale_add::scale_add;
pub use scale_samples::scale_samples;
pub use silu::silu;
pub use sin::sin;
pub use softplus::{sigmoid, softplus};
pub use sum::{expand_middle, mean_all, sum_all, sum_middle, sum_per_sample, sum_spatial};
pub use tanh::tanh;

use crate::autograd::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// The same numbers under another shape of the same size.
pub fn reshape(x: &Var, shape: &[usize]) -> Result<Var> {
    if x.value().len() != shape.iter().product::<usize>() {
        return Err(Error::shape("reshape", format!("{} elements for {shape:?}", x.value().len()), shape));
    }
    let from = x.shape().to_vec();
    Ok(Var::from_op("reshape", x.value().reshape(shape), &[x], move |g, _| Ok(vec![Some(reshape(g, &from)?)])))
}

/// The result of a gradient kernel that has no derivative itself.
fn without_derivative(op: &'static str, value: Tensor, inputs: &[&Var]) -> Var {
    Var::from_op(op, value, inputs, move |_, _| {
        Err(Error::Autograd { op, what: "a second derivative was asked for; this operation has only the first".into() })
    })
}

/// Two inputs of one shape and type.
fn check_same(op: &'static str, x: &Var, y: &Var) -> Result<()> {
    check(op, x.shape() == y.shape() && x.dtype() == y.dtype(), || format!("{:?} {}", x.shape(), x.dtype()), y)
}

fn check(op: &'static str, ok: bool, expected: impl FnOnce() -> String, got: impl std::fmt::Debug) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::shape(op, expected(), got)) }
}

/// `count` coefficients for each sample of x [N, ...]; N.
fn check_coefficients(op: &'static str, x: &Tensor, count: usize, coefficients: &Tensor) -> Result<usize> {
    let n = x.shape().first().copied().unwrap_or(0);
    let dtype = x.dtype().wide();
    let fits = n > 0 && *coefficients.shape() == [count, n] && coefficients.dtype() == dtype;
    check(op, fits, || format!("coefficients [{count}, {n}] {dtype}"), coefficients)?;
    Ok(n)
}

/// The four sizes of an image tensor, [N, H, W, C].
fn nhwc(op: &'static str, x: &Var) -> Result<[usize; 4]> {
    x.shape().try_into().map_err(|_| Error::shape(op, "[N, H, W, C]", x))
}

/// The two sizes of a matrix.
fn matrix(op: &'static str, x: &Var) -> Result<[usize; 2]> {
    x.shape().try_into().map_err(|_| Error::shape(op, "a matrix", x))
}
