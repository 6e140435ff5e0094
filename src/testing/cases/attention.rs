use super::{Case, FIRST};
use crate::ops;

pub fn cases() -> Vec<Case> {
    let shapes = [
        ([1, 1, 1], false),
        ([2, 5, 3], false),
        ([1, 17, 7], false),
        ([2, 37, 70], false),
        // Whole packs of 16 bytes, on GPUs a way of its own.
        ([1, 70, 24], false),
        ([2, 9, 136], false),
        ([16, 256, 256], true),
        ([1, 256, 256], true),
    ];
    let case = |([n, t, c], real): ([usize; 3], bool)| {
        let case = Case::new("attention", format!("{n}x{t}x{c}"), vec![vec![n, t, c]; 3], FIRST, |x| {
            ops::attention(&x[0], &x[1], &x[2])
        });
        Case { real, ..case }.flops(4.0 * (n * t * t * c) as f64)
    };
    shapes.into_iter().map(case).collect()
}
