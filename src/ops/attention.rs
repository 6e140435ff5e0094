use super::{check_same, without_derivative};
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::backend::params::Attention;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// softmax(q k^T / sqrt(C)) v for each of N sequences (Vaswani et al., 2017, one head): q, k, v [N, T, C] -> [N, T, C].
/// First derivative only.
pub fn attention(q: &Var, k: &Var, v: &Var) -> Result<Var> {
    let [n, t, c]: [usize; 3] = q.shape().try_into().map_err(|_| Error::shape("attention", "[N, T, C]", q))?;
    check_same("attention", q, k)?;
    check_same("attention", q, v)?;
    let p = Attention { n, t, c };
    let y = dispatch!(q.device(), attention::forward(q.storage(), k.storage(), v.storage(); &p))?;
    let saved = [q.clone(), k.clone(), v.clone()];
    Ok(Var::from_op("attention", Tensor::new(y, [n, t, c]), &[q, k, v], move |dy, wanted| {
        let [q, k, v] = &saved;
        let (dq, dk, dv) = dispatch!(dy.device(), attention::backward(
            q.storage(), k.storage(), v.storage(), dy.storage(); &p
        ))?;
        let gradients = [dq, dk, dv].into_iter().zip(wanted);
        let wrap = |d| without_derivative("attention", Tensor::new(d, [n, t, c]), &[q, k, v, dy]);
        Ok(gradients.map(|(d, &wanted)| wanted.then(|| wrap(d))).collect())
    }))
}
