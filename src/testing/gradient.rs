//! Gradients against central differences, in f64, at every order an operation claims.

use crate::autograd::{Graph, Var, grad, no_grad};
use crate::ops;
use crate::tensor::{self, DType, Device, Key, Tensor};
use crate::{Error, Result};

/// A function of tensors under test.
pub type Function<'a> = dyn Fn(&[Var]) -> Result<Var> + 'a;

/// Step of the central difference. Its error is about STEP^2 from the third derivative and 1e-16 / STEP from rounding.
const STEP: f64 = 1e-5;
/// Disagreement allowed relative to the size of the terms: a hundred times the errors above.
const TOLERANCE: f64 = 1e-7;
/// Random directions tried for each input. Each weighs every element, so one wrong element shows up in all.
const DIRECTIONS: u64 = 3;

/// Checks the derivatives of `f` at `inputs` (f64) up to `order` against central differences.
///
/// Errors: the first derivative that disagrees, with order, input and both values; or what `f` itself says.
pub fn check_gradients(f: &Function, inputs: &[Tensor], order: usize, seed: u64) -> Result<()> {
    assert!(inputs.iter().all(|t| t.dtype() == DType::F64), "gradients are checked in f64");
    let weights = {
        let vars: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
        random_like(f(&vars)?.value(), seed, u64::MAX)?
    };
    let scalar = |x: &[Var]| ops::sum_all(&ops::mul(&f(x)?, &Var::constant(weights.clone()))?);
    check_order(&scalar, inputs, 1, order, seed)
}

fn check_order(f: &Function, inputs: &[Tensor], order: usize, last: usize, seed: u64) -> Result<()> {
    let leaves: Vec<Var> = inputs.iter().cloned().map(Var::leaf).collect();
    let gradients = grad(&f(&leaves)?, None, &leaves.iter().collect::<Vec<_>>(), Graph::Free)?;
    for (i, input) in inputs.iter().enumerate() {
        for direction in 0..DIRECTIONS {
            let v = random_like(input, seed, (i as u64) << 8 | direction)?;
            let at = |step: f64| -> Result<f64> {
                let moved = input.to_f64().iter().zip(v.to_f64()).map(|(x, v)| x + step * v).collect::<Vec<_>>();
                let mut x: Vec<Var> = inputs.iter().cloned().map(Var::leaf).collect();
                x[i] = Var::leaf(Tensor::from_f64(&moved, input.shape()));
                // A derivative's value needs the tape of the function below it; only a plain function does without.
                let y = if order == 1 { no_grad(|| f(&x)) } else { f(&x) };
                Ok(y?.value().item())
            };
            let numeric = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
            let terms: Vec<f64> = match &gradients[i] {
                Some(g) => g.value().to_f64().iter().zip(v.to_f64()).map(|(g, v)| g * v).collect(),
                None => vec![0.0],
            };
            let analytic: f64 = terms.iter().sum();
            let size = terms.iter().map(|t| t * t).sum::<f64>().sqrt().max(1.0);
            if (analytic - numeric).abs() > TOLERANCE * size || analytic.is_nan() {
                let what = format!("derivative {order} of input {i}: analytic {analytic:e}, numeric {numeric:e}");
                return Err(Error::Autograd { op: "gradient check", what });
            }
        }
    }
    if order == last {
        return Ok(());
    }
    // The next order's function: the gradient along fixed directions, itself a scalar.
    let directions: Vec<Var> =
        (0..).zip(inputs).map(|(i, x)| Ok(Var::constant(random_like(x, seed + 1, i << 8)?))).collect::<Result<_>>()?;
    let derivative = |x: &[Var]| {
        let gradients = grad(&f(x)?, None, &x.iter().collect::<Vec<_>>(), Graph::Create)?;
        let mut sum = Var::constant(Tensor::zeros([], DType::F64, &Device::Cpu)?);
        for (g, v) in gradients.iter().zip(&directions) {
            if let Some(g) = g {
                sum = ops::add(&sum, &ops::sum_all(&ops::mul(g, v)?)?)?;
            }
        }
        Ok(sum)
    };
    check_order(&derivative, inputs, order + 1, last, seed + 2)
}

/// Standard normal numbers in f64, of the shape of `x`.
fn random_like(x: &Tensor, seed: u64, stream: u64) -> Result<Tensor> {
    tensor::normal(x.shape(), Key { seed, stream }, DType::F64, &Device::Cpu)
}
