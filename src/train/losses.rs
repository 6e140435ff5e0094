//! The losses of denoising diffusion GANs (Xiao, Kreis, Vahdat, ICLR 2022, equations 3 and 4), non-saturating, what can
//! take their place or be added to them, and the loss of DDPMs. Logits are [N, 1]; log sigmoid(x) = -softplus(-x),
//! log(1 - sigmoid(x)) = -softplus(x). All losses are scalars.

use serde::{Deserialize, Serialize};

use crate::autograd::{Graph, Var, grad};
use crate::error::Result;
use crate::ops;

/// What generator and discriminator compete by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The published one.
    #[default]
    NonSaturating,
    /// Semi-dual unbalanced optimal transport from x_{t+1} to x_0, with softplus for the conjugates of its divergences
    /// (RDUOT: Dao, Ta, Pham, Tran, ECCV 2024).
    Rduot,
}

/// -E log sigmoid D(x_t, t, x_{t+1}) over true pairs. RDUOT's is the same: E Psi*(-D) with Psi* = softplus.
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

/// tau |x_{t+1} - x_0|^2 of each sample, [N, 1]: RDUOT's cost of leading from x_{t+1} to the predicted x_0. On such pairs
/// its discriminator has the loss E Psi*(D - cost), which is [`fake`] of D - cost.
pub fn transport_cost(x_t1: &Var, x0: &Var, tau: f64) -> Result<Var> {
    let way = ops::scale_add(1.0, x_t1, -1.0, x0)?;
    let squares = ops::sum_per_sample(&ops::mul(&way, &way)?)?;
    ops::reshape(&ops::affine(&squares, tau, 0.0)?, &[x0.shape()[0], 1])
}

/// E (cost - D(x_t, t, x_{t+1})): RDUOT's generator.
pub fn transport(logits: &Var, cost: &Var) -> Result<Var> {
    ops::mean_all(&ops::scale_add(1.0, cost, -1.0, logits)?)
}

/// E |x_0 - predicted x_0|, the mean over all numbers. |x| is LeakyReLU with the slope -1.
pub fn l1(predicted: &Var, x0: &Var) -> Result<Var> {
    ops::mean_all(&ops::leaky_relu(&ops::scale_add(1.0, predicted, -1.0, x0)?, -1.0)?)
}

/// gamma / 2 E |dD(x_t, t, x_{t+1}) / dx_t|^2 over true pairs (R1 of Mescheder et al., 2018), with respect to x_t
/// alone. It can be differentiated, and leaves the graph of `logits` for the other terms.
pub fn r1(logits: &Var, x_t: &Var, gamma: f64) -> Result<Var> {
    let n = x_t.shape()[0] as f64;
    let gradient = grad(&ops::sum_all(logits)?, None, &[x_t], Graph::Create)?.pop().flatten();
    let gradient = gradient.expect("D looks at x_t");
    ops::affine(&ops::sum_all(&ops::mul(&gradient, &gradient)?)?, gamma / (2.0 * n), 0.0)
}

/// E |e - e_theta(x_{t+1}, t)|^2, the mean over all numbers of the noise e and its prediction: the simple loss of Ho,
/// Jain, Abbeel, NeurIPS 2020, equation 14.
pub fn noise(predicted: &Var, noise: &Var) -> Result<Var> {
    let error = ops::scale_add(1.0, predicted, -1.0, noise)?;
    ops::mean_all(&ops::mul(&error, &error)?)
}
