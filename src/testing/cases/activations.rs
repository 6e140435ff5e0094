use super::{ANY, Case, FIRST};
use crate::Result;
use crate::autograd::Var;
use crate::ops;

pub fn cases() -> Vec<Case> {
    type Op = fn(&Var) -> Result<Var>;
    let ops: [(&str, usize, Op); 6] = [
        ("silu", FIRST, ops::silu),
        ("leaky_relu", ANY, |x| ops::leaky_relu(x, 0.2)),
        ("tanh", ANY, ops::tanh),
        ("sin", ANY, ops::sin),
        ("softplus", ANY, ops::softplus),
        ("sigmoid", ANY, ops::sigmoid),
    ];
    let mut cases = Vec::new();
    for (op, order, f) in ops {
        for shape in [vec![1], vec![7, 13], vec![2, 3, 5, 3]] {
            cases.push(Case::new(op, format!("{shape:?}"), vec![shape], order, move |x| f(&x[0])));
        }
        if order == FIRST || op == "leaky_relu" {
            let shape = vec![16, 32, 32, 128];
            cases.push(Case::new(op, format!("{shape:?}"), vec![shape], order, move |x| f(&x[0])).real());
        }
    }
    cases
}
