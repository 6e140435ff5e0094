use super::check;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// [..., A] and [..., B] joined to [..., A + B]. VJP: each input's own channels of dy.
pub fn concat_channels(x: &Var, y: &Var) -> Result<Var> {
    let (Some((&a, lead)), Some((&b, lead_y))) = (x.shape().split_last(), y.shape().split_last()) else {
        return Err(Error::shape("concat_channels", "tensors with a last axis", (x, y)));
    };
    check("concat_channels", lead == lead_y && x.dtype() == y.dtype(), || format!("{lead:?} and any channels"), y)?;
    let joined = dispatch!(x.device(), concat::forward(x.storage(), y.storage(); a, b))?;
    let shape = [lead, &[a + b]].concat();
    Ok(Var::from_op("concat_channels", Tensor::new(joined, shape), &[x, y], move |g, wanted| {
        let piece = |start, len, wanted: bool| wanted.then(|| slice_channels(g, start, len)).transpose();
        Ok(vec![piece(0, a, wanted[0])?, piece(a, b, wanted[1])?])
    }))
}

/// Channels `start..start + len` of the last axis. VJP: dy among zeros.
pub fn slice_channels(x: &Var, start: usize, len: usize) -> Result<Var> {
    let Some((&c, lead)) = x.shape().split_last() else {
        return Err(Error::shape("slice_channels", "a tensor with a last axis", x));
    };
    check("slice_channels", len > 0 && start + len <= c, || format!("channels {start}..{}", start + len), x)?;
    let piece = dispatch!(x.device(), concat::slice(x.storage(); c, start, len))?;
    let shape = [lead, &[len]].concat();
    Ok(Var::from_op("slice_channels", Tensor::new(piece, shape), &[x], move |g, _| {
        Ok(vec![Some(embed_channels(g, c, start)?)])
    }))
}

/// The transpose of [`slice_channels`]: [..., L] -> [..., C], zero outside of channels `start..start + L`.
fn embed_channels(x: &Var, c: usize, start: usize) -> Result<Var> {
    let (&len, lead) = x.shape().split_last().expect("a gradient of slice_channels");
    let y = dispatch!(x.device(), concat::embed(x.storage(); c, start, len))?;
    let shape = [lead, &[c]].concat();
    Ok(Var::from_op("embed_channels", Tensor::new(y, shape), &[x], move |g, _| {
        Ok(vec![Some(slice_channels(g, start, len)?)])
    }))
}
