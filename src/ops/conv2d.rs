use super::{affine, check, nhwc, reshape, sum_middle};
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::backend::params::Conv2d;
use crate::tensor::Tensor;
use crate::{Error, Result};

#[derive(Clone, Copy, Debug)]
pub struct Conv2dOptions {
    pub stride: usize,
    /// Zeros at the top, bottom, left and right.
    pub pad: [usize; 4],
}

impl Conv2dOptions {
    /// Stride 1 and as much padding as keeps the size, for an odd filter.
    pub fn same(filter: usize) -> Self {
        Conv2dOptions { stride: 1, pad: [filter / 2; 4] }
    }
}

/// What is done to the convolution's output on its way to memory: (y + bias + time bias + residual) * scale.
#[derive(Clone, Copy)]
pub struct ConvEpilogue<'a> {
    /// [K]
    pub bias: Option<&'a Var>,
    /// [N, K]
    pub time_bias: Option<&'a Var>,
    /// [N, P, Q, K]
    pub residual: Option<&'a Var>,
    pub scale: f64,
}

impl Default for ConvEpilogue<'_> {
    fn default() -> Self {
        ConvEpilogue { bias: None, time_bias: None, residual: None, scale: 1.0 }
    }
}

/// Two-dimensional convolution (cross-correlation, as the field calls it): x [N, H, W, C], w [K, R, S, C] ->
/// y [N, P, Q, K],
///
/// y[n, p, q] = (sum over r, s of w[:, r, s] x[n, p stride + r - top, q stride + s - left] + bias + time_bias[n]
///               + residual[n, p, q]) * scale.
///
/// The convolution and its gradients with respect to x and w are closed under differentiation: the three of them
/// serve any order.
pub fn conv2d(x: &Var, w: &Var, options: &Conv2dOptions, epilogue: &ConvEpilogue) -> Result<Var> {
    let g = geometry(x, w, options)?;
    let ConvEpilogue { bias, time_bias, residual, scale } = *epilogue;
    let y_shape = [g.n, g.p, g.q, g.k];
    for (name, term, shape) in
        [("bias", bias, &y_shape[3..]), ("time bias", time_bias, &[g.n, g.k]), ("residual", residual, &y_shape)]
    {
        if let Some(term) = term {
            check("conv2d", term.shape() == shape, || format!("a {name} of shape {shape:?}"), term)?;
        }
    }
    let storage = |v: Option<&'_ Var>| v.map(|v| v.value().clone());
    let (b, t, r) = (storage(bias), storage(time_bias), storage(residual));
    let y = dispatch!(x.device(), conv2d::forward(
        x.storage(), w.storage(), b.as_ref().map(Tensor::storage), t.as_ref().map(Tensor::storage),
        r.as_ref().map(Tensor::storage); &g, scale
    ))?;
    // Absent terms take part as constants, so that the VJP always answers for five inputs.
    let nothing = Var::constant(Tensor::zeros([0], x.dtype(), &x.device())?);
    let inputs = [x, w, bias.unwrap_or(&nothing), time_bias.unwrap_or(&nothing), residual.unwrap_or(&nothing)];
    let saved = (x.clone(), w.clone());
    Ok(Var::from_op("conv2d", Tensor::new(y, y_shape), &inputs, move |dy, wanted| {
        let dy = if scale == 1.0 { dy.clone() } else { affine(dy, scale, 0.0)? };
        let dbias = || reshape(&sum_middle(&dy, [1, g.n * g.p * g.q, g.k])?, &[g.k]);
        Ok(vec![
            wanted[0].then(|| input_grad(&dy, &saved.1, g)).transpose()?,
            wanted[1].then(|| weight_grad(&saved.0, &dy, g)).transpose()?,
            wanted[2].then(dbias).transpose()?,
            wanted[3].then(|| sum_middle(&dy, [g.n, g.p * g.q, g.k])).transpose()?,
            wanted[4].then(|| dy.clone()),
        ])
    }))
}

/// y = conv(x, w) with a geometry that is known to fit.
fn plain(x: &Var, w: &Var, g: Conv2d) -> Result<Var> {
    conv2d(x, w, &Conv2dOptions { stride: g.stride, pad: g.pad }, &ConvEpilogue::default())
}

/// dx = d<y, dy>/dx: linear in dy and in w.
fn input_grad(dy: &Var, w: &Var, g: Conv2d) -> Result<Var> {
    let dx = dispatch!(dy.device(), conv2d::input_grad(dy.storage(), w.storage(); &g))?;
    let saved = (dy.clone(), w.clone());
    Ok(Var::from_op("conv2d_input_grad", Tensor::new(dx, [g.n, g.h, g.w, g.c]), &[dy, w], move |gx, wanted| {
        Ok(vec![
            wanted[0].then(|| plain(gx, &saved.1, g)).transpose()?,
            wanted[1].then(|| weight_grad(gx, &saved.0, g)).transpose()?,
        ])
    }))
}

/// dw = d<y, dy>/dw: linear in x and in dy.
fn weight_grad(x: &Var, dy: &Var, g: Conv2d) -> Result<Var> {
    let dw = dispatch!(x.device(), conv2d::weight_grad(x.storage(), dy.storage(); &g))?;
    let saved = (x.clone(), dy.clone());
    Ok(Var::from_op("conv2d_weight_grad", Tensor::new(dw, [g.k, g.r, g.s, g.c]), &[x, dy], move |gw, wanted| {
        Ok(vec![
            wanted[0].then(|| input_grad(&saved.1, gw, g)).transpose()?,
            wanted[1].then(|| plain(&saved.0, gw, g)).transpose()?,
        ])
    }))
}

fn geometry(x: &Var, w: &Var, o: &Conv2dOptions) -> Result<Conv2d> {
    let x_shape = nhwc("conv2d", x)?;
    let w_shape: [usize; 4] = w.shape().try_into().map_err(|_| Error::shape("conv2d", "weights [K, R, S, C]", w))?;
    let ([_, h, width, c], [_, r, s, wc]) = (x_shape, w_shape);
    check("conv2d", c == wc && x.dtype() == w.dtype(), || format!("weights for {c} channels of {}", x.dtype()), w)?;
    let fits = o.stride > 0 && h + o.pad[0] + o.pad[1] >= r && width + o.pad[2] + o.pad[3] >= s;
    check("conv2d", fits, || format!("an image of at least {r}x{s} with its padding"), x)?;
    Ok(Conv2d::new(x_shape, w_shape, o.stride, o.pad))
}
