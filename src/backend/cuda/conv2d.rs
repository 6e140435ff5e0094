//! 2-D convolution and its two gradients: see `ops/conv2d.rs`. Our kernels compute them, or cuDNN does; who is faster is
//! measured where that is asked for.

mod cudnn;
mod own;
mod packs;
mod table;
mod tuner;

use std::sync::Arc;

pub use tuner::Tuner;

use super::{DType, Gpu, Storage};
use crate::Result;
use crate::backend::params::Conv2d;

/// What is computed, with its operands.
#[derive(Clone, Copy)]
enum Task<'a> {
    Forward { x: &'a Storage, w: &'a Storage, finish: Finish<'a> },
    InputGrad { dy: &'a Storage, w: &'a Storage },
    WeightGrad { x: &'a Storage, dy: &'a Storage },
}

/// What is added to an output, and what it is multiplied by then.
#[derive(Clone, Copy)]
struct Finish<'a> {
    bias: Option<&'a Storage>,
    time_bias: Option<&'a Storage>,
    residual: Option<&'a Storage>,
    scale: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pass {
    Forward,
    InputGrad,
    WeightGrad,
}

impl Finish<'_> {
    /// Bias, time bias, residual: which of them there are.
    fn terms(&self) -> [bool; 3] {
        [self.bias, self.time_bias, self.residual].map(|term| term.is_some())
    }
}

impl Task<'_> {
    fn pass(&self) -> Pass {
        match self {
            Task::Forward { .. } => Pass::Forward,
            Task::InputGrad { .. } => Pass::InputGrad,
            Task::WeightGrad { .. } => Pass::WeightGrad,
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Task::Forward { x, .. } | Task::WeightGrad { x, .. } => x.dtype(),
            Task::InputGrad { dy, .. } => dy.dtype(),
        }
    }

    /// Numbers in the result.
    fn len(&self, g: &Conv2d) -> usize {
        match self {
            Task::Forward { .. } => g.y_len(),
            Task::InputGrad { .. } => g.x_len(),
            Task::WeightGrad { .. } => g.w_len(),
        }
    }
}

/// (conv(x, w) + bias [K] + time bias [N, K] + residual [N, P, Q, K]) * scale.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    gpu: &Arc<Gpu>,
    x: &Storage,
    w: &Storage,
    bias: Option<&Storage>,
    time_bias: Option<&Storage>,
    residual: Option<&Storage>,
    g: &Conv2d,
    scale: f64,
) -> Result<Storage> {
    compute(gpu, &Task::Forward { x, w, finish: Finish { bias, time_bias, residual, scale: scale as f32 } }, g)
}

/// dx = d<y, dy>/dx.
pub fn input_grad(gpu: &Arc<Gpu>, dy: &Storage, w: &Storage, g: &Conv2d) -> Result<Storage> {
    compute(gpu, &Task::InputGrad { dy, w }, g)
}

/// dw = d<y, dy>/dw.
pub fn weight_grad(gpu: &Arc<Gpu>, x: &Storage, dy: &Storage, g: &Conv2d) -> Result<Storage> {
    compute(gpu, &Task::WeightGrad { x, dy }, g)
}

fn compute(gpu: &Arc<Gpu>, task: &Task, g: &Conv2d) -> Result<Storage> {
    match gpu.tuner() {
        Some(tuner) => tuner.compute(gpu, task, g),
        None => own::compute(gpu, task, g, own::usual(gpu, task, g)),
    }
}
