//! The losses of denoising diffusion GANs (Xiao, Kreis, Vahdat, ICLR 2022, equations 3 and 4), non-saturating.
//! Logits are [N, 1]; log sigmoid(x) = -softplus(-x), log(1 - sigmoid(x)) = -softplus(x). All losses are scalars.

use crate::autograd::{Graph, Var, grad};
use crate::error::Result;
use crate::ops;

/// -E log sigmoid D(x_t, t, x_{t+1}) over true pairs.
pub fn real(logits: &Var) -> Result<Var> {
    ops::mean_all(&ops::softplus(&ops::affine(logits, -1.0, 0.0)?)?)
}

/// -E log(1 - sigmoid D(x_t, t, x_{t+1})) over pairs whose x_t the generator led to.
pub fn fake(logits: &Var) -> Result<Var> {
    ops::mean_all(&ops::softplus(logits)?)
}

/// -E log sigmoid D(x_t, t, x_{t+1}) over pairs whose x_t the generator led to: it wants them to pass for true.
pub fn generator(logits: &Var) -> Result<Var> {
    real(logits)
}

/// gamma / 2 E |dD(x_t, t, x_{t+1}) / dx_t|^2 over true pairs (R1 of Mescheder et al., 2018), with respect to x_t
/// alone. It can be differentiated, and leaves the graph of `logits` for the other terms.
pub fn r1(logits: &Var, x_t: &Var, gamma: f64) -> Result<Var> {
    let n = x_t.shape()[0] as f64;
    let gradient = grad(&ops::sum_all(logits)?, None, &[x_t], Graph::Create)?.pop().flatten();
    let gradient = gradient.expect("D looks at x_t");
    ops::affine(&ops::sum_all(&ops::mul(&gradient, &gradient)?)?, gamma / (2.0 * n), 0.0)
}
