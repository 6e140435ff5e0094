//! One Adam step of all parameters, and their moving averages, in one launch: see `ops/adam.rs` for the formulas.

use std::sync::Arc;

use super::{DType, Gpu, Storage, Table, launch};
use crate::Result;
use crate::backend::params::{Adam, AdamChunk, AdamStep};

/// What a block does of one parameter, so that large parameters take many blocks. Only speed depends on it.
const CHUNK: usize = 1 << 14;

/// Writes `params`, the moments `m` and `v`, and `ema` where there is one; nothing unless `health` is 0.
///
/// The kernel reads from a table where they all are. In a recorded graph the table is a constant.
#[allow(clippy::too_many_arguments)] // that many tensors
pub fn step(
    gpu: &Arc<Gpu>,
    params: Vec<&mut Storage>,
    m: Vec<&mut Storage>,
    v: Vec<&mut Storage>,
    ema: Vec<Option<&mut Storage>>,
    grads: Vec<&Storage>,
    of_step: &Storage,
    health: &Storage,
    p: &Adam,
) -> Result<()> {
    let address = |numbers: &Storage| {
        assert_eq!(numbers.dtype(), DType::F32, "a kernel for another number type");
        numbers.address()
    };
    let mut chunks = Vec::new();
    for ((((w, m), v), ema), g) in params.into_iter().zip(m).zip(v).zip(ema).zip(grads) {
        let (len, ema) = (w.len(), ema.map(|ema| address(ema)));
        let [w, m, v, g] = [&*w, &*m, &*v, g].map(address);
        for first in (0..len).step_by(CHUNK) {
            let at = |begin: u64| begin + (first * size_of::<f32>()) as u64;
            let n = CHUNK.min(len - first);
            chunks.push(AdamChunk { w: at(w), m: at(m), v: at(v), ema: ema.map_or(0, at), g: at(g), n });
        }
    }
    let table = Table::upload(gpu, &chunks)?;
    launch::adam_step(gpu, chunks.len(), table.read(), of_step.read(), health.read(), AdamStep::from(p))
}
