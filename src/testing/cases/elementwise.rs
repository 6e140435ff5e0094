use super::{ANY, Case};
use crate::ops;
use crate::tensor::{Key, Tensor};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [vec![1], vec![5, 7], vec![2, 3, 1, 11]] {
        let name = format!("{shape:?}");
        let two = vec![shape.clone(), shape.clone()];
        cases.extend([
            Case::new("add", &name, two.clone(), ANY, |x| ops::add(&x[0], &x[1])),
            Case::new("add", format!("{name} to itself"), vec![shape.clone()], ANY, |x| ops::add(&x[0], &x[0])),
            Case::new("scale_add", &name, two.clone(), ANY, |x| ops::scale_add(0.7, &x[0], -1.3, &x[1])),
            Case::new("affine", &name, vec![shape.clone()], ANY, |x| ops::affine(&x[0], -0.4, 0.9)),
            Case::new("mul", &name, two, ANY, |x| ops::mul(&x[0], &x[1])),
            Case::new("mul", format!("{name} by itself"), vec![shape.clone()], ANY, |x| ops::mul(&x[0], &x[0])),
            // Of x^2 + 1, since the power of a negative number is none.
            Case::new("power", &name, vec![shape.clone()], ANY, |x| {
                ops::power(&ops::affine(&ops::mul(&x[0], &x[0])?, 1.0, 1.0)?, -0.5)
            }),
        ]);
    }
    // The last have whole packs of 16 bytes, on GPUs a way of their own.
    for (a, b) in [(1, 1), (3, 5), (8, 1), (8, 16)] {
        let shapes = vec![vec![2, 3, a], vec![2, 3, b]];
        cases.push(Case::new("concat", format!("{a} and {b}"), shapes, ANY, |x| {
            let joined = ops::concat_channels(&x[0], &x[1])?;
            ops::mul(&joined, &joined)
        }));
    }
    for (c, start, len) in [(1, 0, 1), (7, 2, 3), (9, 5, 4), (40, 8, 24)] {
        let name = format!("{start}..{} of {c}", start + len);
        cases.push(Case::new("slice_channels", name, vec![vec![3, 2, c]], ANY, move |x| {
            let piece = ops::slice_channels(&x[0], start, len)?;
            ops::mul(&piece, &piece)
        }));
    }
    for n in [1, 3] {
        cases.push(Case::new("scale_samples", format!("{n}"), vec![vec![n, 5, 3]], ANY, move |x| {
            let values: Vec<f64> = (0..n).map(|i| 0.5 - i as f64).collect();
            let factors = Tensor::from_values(&values, [n], x[0].dtype(), &x[0].device())?;
            ops::scale_samples(&ops::mul(&x[0], &x[0])?, &factors)
        }));
    }
    for shape in [vec![1], vec![3, 7], vec![4, 5, 64]] {
        cases.push(Case::new("dropout", format!("{shape:?}"), vec![shape], ANY, |x| {
            ops::dropout(&ops::mul(&x[0], &x[0])?, 0.3, Key { seed: 1, stream: 2 })
        }));
    }
    cases.push(Case::new("posterior_step", "first step draws, second does not", vec![vec![2, 3, 5, 1]; 2], ANY, |x| {
        let noise = Tensor::full(0.3, x[0].shape(), x[0].dtype(), &x[0].device())?;
        let coefficients = [[0.6, 1.0], [0.3, 0.0], [0.5, 0.0]].concat();
        let coefficients = Tensor::from_values(&coefficients, [3, 2], x[0].dtype().wide(), &x[0].device())?;
        ops::posterior_step(&ops::mul(&x[0], &x[1])?, &x[1], &noise, &coefficients)
    }));
    cases
}
