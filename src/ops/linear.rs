use super::{check, matrix, sum_middle};
use crate::Result;
use crate::autograd::Var;
use crate::backend::dispatch;
use crate::backend::params::Gemm;
use crate::tensor::Tensor;

/// op(A) op(B) of two matrices, op the transpose where asked for. Closed under differentiation:
/// d op(A) = dC op(B)^T, d op(B) = op(A)^T dC.
pub fn matmul(a: &Var, b: &Var, trans_a: bool, trans_b: bool) -> Result<Var> {
    let (g, shape) = geometry("matmul", a, b, trans_a, trans_b)?;
    let c = dispatch!(a.device(), matmul::forward(a.storage(), b.storage(); &g))?;
    let saved = (a.clone(), b.clone());
    Ok(Var::from_op("matmul", Tensor::new(c, shape), &[a, b], move |g, wanted| {
        matmul_vjp(&saved.0, &saved.1, trans_a, trans_b, g, wanted)
    }))
}

fn matmul_vjp(a: &Var, b: &Var, ta: bool, tb: bool, g: &Var, wanted: &[bool]) -> Result<Vec<Option<Var>>> {
    // If A is stored transposed, its gradient is the transpose of dC op(B)^T: op(B) dC^T.
    let da = || if ta { matmul(b, g, tb, true) } else { matmul(g, b, false, !tb) };
    let db = || if tb { matmul(g, a, true, ta) } else { matmul(a, g, !ta, false) };
    Ok(vec![wanted[0].then(da).transpose()?, wanted[1].then(db).transpose()?])
}

/// x W^T + bias: x [M, C], w [K, C], bias [K] -> [M, K]. Of any order.
pub fn linear(x: &Var, w: &Var, bias: Option<&Var>) -> Result<Var> {
    let Some(bias) = bias else { return matmul(x, w, false, true) };
    let (g, shape) = geometry("linear", x, w, false, true)?;
    check("linear", bias.shape() == [g.n], || format!("a bias of shape [{}]", g.n), bias)?;
    let y = dispatch!(x.device(), matmul::with_bias(x.storage(), w.storage(), bias.storage(); &g))?;
    let saved = (x.clone(), w.clone());
    Ok(Var::from_op("linear", Tensor::new(y, shape), &[x, w, bias], move |g, wanted| {
        let [m, k] = matrix("linear", g)?;
        let mut grads = matmul_vjp(&saved.0, &saved.1, false, true, g, wanted)?;
        let dbias = || super::reshape(&sum_middle(g, [1, m, k])?, &[k]);
        grads.push(wanted[2].then(dbias).transpose()?);
        Ok(grads)
    }))
}

fn geometry(op: &'static str, a: &Var, b: &Var, ta: bool, tb: bool) -> Result<(Gemm, [usize; 2])> {
    let ([a0, a1], [b0, b1]) = (matrix(op, a)?, matrix(op, b)?);
    let ((m, k), (kb, n)) = (if ta { (a1, a0) } else { (a0, a1) }, if tb { (b1, b0) } else { (b0, b1) });
    check(op, k == kb && a.dtype() == b.dtype(), || format!("{k} columns, as {a:?} has"), b)?;
    let g = Gemm::new(m, n, k);
    let g = if ta { g.trans_a() } else { g };
    Ok((if tb { g.trans_b() } else { g }, [m, n]))
}
