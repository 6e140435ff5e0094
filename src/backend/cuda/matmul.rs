//! Matrix products: see `backend/params.rs` for what a [`Gemm`] says.

use std::sync::Arc;

use super::{Gpu, In, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::Gemm;

pub fn forward(gpu: &Arc<Gpu>, a: &Storage, b: &Storage, g: &Gemm) -> Result<Storage> {
    multiply(gpu, a, b, None, g)
}

/// A B^T + bias: a linear layer.
pub fn with_bias(gpu: &Arc<Gpu>, a: &Storage, b: &Storage, bias: &Storage, g: &Gemm) -> Result<Storage> {
    multiply(gpu, a, b, Some(bias), g)
}

fn multiply(gpu: &Arc<Gpu>, a: &Storage, b: &Storage, bias: Option<&Storage>, g: &Gemm) -> Result<Storage> {
    const THREADS: usize = 256;
    let mut c = Storage::scratch(gpu, g.batch * g.m * g.n, a.dtype())?;
    if gpu.version(2) > 1
        && let Some(blas) = gpu.blas()?
        && blas.gemm(gpu, g, a, b, bias, &mut c)?
    {
        return Ok(c);
    }
    let grid = c.len().div_ceil(THREADS);
    by_number!(a.dtype(), T => {
        let bias = bias.map_or(In::NULL, Storage::read);
        launch::matmul_v1::<T>(gpu, grid, c.write(), a.read(), b.read(), bias, *g)
    })?;
    Ok(c)
}
