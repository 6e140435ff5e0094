use super::{ANY, Case};
use crate::ops;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let flops = |m: usize, n: usize, k: usize| 2.0 * (m * n * k) as f64;
    for (m, n, k, real) in
        [(1, 1, 1, false), (3, 5, 7, false), (13, 3, 2, false), (64, 512, 128, true), (16 * 32 * 32, 128, 256, true)]
    {
        let case = Case::new("linear", format!("{m}x{k} to {n}"), vec![vec![m, k], vec![n, k], vec![n]], ANY, |x| {
            ops::linear(&x[0], &x[1], Some(&x[2]))
        });
        cases.push(Case { real, ..case }.flops(flops(m, n, k)));
    }
    for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
        let (m, n, k) = (5, 3, 4);
        let shapes = vec![if trans_a { vec![k, m] } else { vec![m, k] }, if trans_b { vec![n, k] } else { vec![k, n] }];
        cases.push(Case::new("matmul", format!("transposed {trans_a} {trans_b}"), shapes, ANY, move |x| {
            ops::matmul(&x[0], &x[1], trans_a, trans_b)
        }));
    }
    cases.push(Case::new("pixel_norm", "[3, 7]", vec![vec![3, 7]], ANY, |x| ops::pixel_norm(&x[0])));
    cases.push(Case::new("pixel_norm", "[1, 1]", vec![vec![1, 1]], ANY, |x| ops::pixel_norm(&x[0])));
    cases
}
