//! One Adam step of one tensor, and its moving average, in one pass: see `ops/adam.rs` for the formulas.

use std::sync::Arc;

use super::{Gpu, Out, Storage, by_number, launch};
use crate::Result;
use crate::backend::params::{Adam, AdamStep};

/// Writes `param`, the moments `m` and `v`, and `ema` if there is one; nothing unless `health` is 0.
#[allow(clippy::too_many_arguments)] // that many tensors
pub fn step(
    gpu: &Arc<Gpu>,
    param: &mut Storage,
    m: &mut Storage,
    v: &mut Storage,
    ema: Option<&mut Storage>,
    grad: &Storage,
    of_step: &Storage,
    health: &Storage,
    p: &Adam,
) -> Result<()> {
    let (n, grid) = (param.len(), gpu.map_grid(param));
    let ema = ema.map_or(Out::NULL, Storage::write);
    by_number!(grad.dtype(), T => {
        launch::adam_step::<T>(
            gpu, grid, param.write(), m.write(), v.write(), ema, grad.read(), of_step.read(), health.read(),
            AdamStep::from(p), n
        )
    })
}
