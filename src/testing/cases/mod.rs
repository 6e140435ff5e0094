//! Every operation on shapes that the networks have and on shapes that are ugly (1, primes, no multiple of any tile):
//! one list for gradient checks, for comparing number types and devices, and for benches.

mod activations;
mod attention;
mod conv2d;
mod elementwise;
mod group_norm;
mod linear;
mod minibatch_stddev;
mod pool2d;
mod resample;
mod sum;

use crate::Result;
use crate::autograd::Var;
use crate::tensor::{self, DType, Device, Key, Tensor};

/// Derivatives of any order are tested to the third.
const ANY: usize = 3;
const FIRST: usize = 1;

type Run = Box<dyn Fn(&[Var]) -> Result<Var> + Send + Sync>;

pub struct Case {
    /// The operation's stem, as its files are called.
    pub op: &'static str,
    pub name: String,
    pub shapes: Vec<Vec<usize>>,
    /// The highest derivative that the operation has; 0 if it has none.
    pub order: usize,
    /// A shape of the networks, for benches; too large for the plain loops in f64 to differentiate numerically.
    pub real: bool,
    /// Multiplications and additions of the forward pass; 0 where memory is the cost.
    pub flops: f64,
    run: Run,
}

impl Case {
    fn new(
        op: &'static str,
        name: impl Into<String>,
        shapes: Vec<Vec<usize>>,
        order: usize,
        run: impl Fn(&[Var]) -> Result<Var> + Send + Sync + 'static,
    ) -> Self {
        Case { op, name: name.into(), shapes, order, real: false, flops: 0.0, run: Box::new(run) }
    }

    fn real(self) -> Self {
        Case { real: true, ..self }
    }

    fn flops(self, flops: f64) -> Self {
        Case { flops, ..self }
    }

    pub fn run(&self, inputs: &[Var]) -> Result<Var> {
        (self.run)(inputs)
    }

    /// Standard normal inputs.
    pub fn inputs(&self, dtype: DType) -> Vec<Tensor> {
        let draw = |(i, shape): (u64, &Vec<usize>)| {
            // Drawn as f32 for either type, so that both compute from the same numbers.
            tensor::normal(shape.clone(), Key { seed: 2024, stream: i }, DType::F32, &Device::Cpu)?.cast(dtype)
        };
        (0..).zip(&self.shapes).map(draw).collect::<Result<_>>().expect("the CPU has no errors of its own")
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}/{}", self.op, self.name)
    }
}

pub fn all() -> Vec<Case> {
    [
        activations::cases(),
        attention::cases(),
        conv2d::cases(),
        elementwise::cases(),
        group_norm::cases(),
        linear::cases(),
        minibatch_stddev::cases(),
        pool2d::cases(),
        resample::cases(),
        sum::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
