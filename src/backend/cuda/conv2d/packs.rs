//! Channels in whole packs of 16 bytes, as tensor cores want them: what they lack is filled up with zeros.

use std::sync::Arc;

use super::Task;
use crate::Result;
use crate::backend::cuda::{Gpu, Storage, concat};
use crate::backend::params::Conv2d;

/// The numbers of 16 bytes in bf16.
const PACK: usize = 8;

/// What `compute` gives back for a task whose channels that are loaded come in whole packs, without those that were
/// added: C of a convolution; C and K of its gradients.
pub fn in_whole_packs(
    gpu: &Arc<Gpu>,
    task: &Task,
    g: &Conv2d,
    compute: impl FnOnce(&Task, &Conv2d) -> Result<Storage>,
) -> Result<Storage> {
    let [c, k] = [g.c, g.k].map(|channels| channels.next_multiple_of(PACK));
    let filters = g.r * g.s;
    match *task {
        Task::Forward { x, w, finish } => {
            let [x_whole, w_whole] = [filled(gpu, x, g.c, c)?, filled(gpu, w, g.c, c)?];
            let [x, w] = [x_whole.as_ref().unwrap_or(x), w_whole.as_ref().unwrap_or(w)];
            compute(&Task::Forward { x, w, finish }, &Conv2d { c, ..*g })
        }
        Task::InputGrad { dy, w } => {
            let [dy_whole, w_whole] = [filled(gpu, dy, g.k, k)?, filled(gpu, w, g.c, c)?];
            let [dy, w] = [dy_whole.as_ref().unwrap_or(dy), w_whole.as_ref().unwrap_or(w)];
            let all_whole = filled(gpu, w, g.k * filters * c, k * filters * c)?;
            let w = all_whole.as_ref().unwrap_or(w);
            cut(gpu, compute(&Task::InputGrad { dy, w }, &Conv2d { c, k, ..*g })?, c, g.c)
        }
        Task::WeightGrad { x, dy } => {
            let [x_whole, dy_whole] = [filled(gpu, x, g.c, c)?, filled(gpu, dy, g.k, k)?];
            let [x, dy] = [x_whole.as_ref().unwrap_or(x), dy_whole.as_ref().unwrap_or(dy)];
            let dw = compute(&Task::WeightGrad { x, dy }, &Conv2d { c, k, ..*g })?;
            let dw = cut(gpu, dw, k * filters * c, g.k * filters * c)?;
            cut(gpu, dw, c, g.c)
        }
    }
}

/// Rows of `len` numbers, with zeros up to `whole`; none if they are whole.
fn filled(gpu: &Arc<Gpu>, x: &Storage, len: usize, whole: usize) -> Result<Option<Storage>> {
    (len < whole).then(|| concat::embed(gpu, x, whole, 0, len)).transpose()
}

/// The first `len` numbers of rows of `whole`.
fn cut(gpu: &Arc<Gpu>, x: Storage, whole: usize, len: usize) -> Result<Storage> {
    if len < whole { concat::slice(gpu, &x, whole, 0, len) } else { Ok(x) }
}
