use super::{ANY, Case};
use crate::ops;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut sum = |sizes: [usize; 3], real: bool| {
        let case = Case::new("sum", format!("{sizes:?}"), vec![sizes.to_vec()], ANY, move |x| {
            // Of the cubes, so that the second derivative is not trivially zero.
            let cube = if real { x[0].clone() } else { ops::mul(&x[0], &ops::mul(&x[0], &x[0])?)? };
            ops::sum_middle(&cube, sizes)
        });
        cases.push(Case { real, ..case });
    };
    // More rows than a block, more columns than a task, single ones of each, and whole packs of 16 bytes.
    for sizes in [[1, 1, 1], [3, 7, 5], [1, 523, 3], [2, 1, 601], [5, 31, 1], [3, 37, 24], [2, 523, 72]] {
        sum(sizes, false);
    }
    sum([1, 16 * 32 * 32, 128], true);
    sum([16, 32 * 32, 128], true);
    for sizes in [[1, 1, 1], [3, 7, 5], [2, 5, 1]] {
        let shape = vec![sizes[0], sizes[2]];
        cases.push(Case::new("expand", format!("{sizes:?}"), vec![shape], ANY, move |x| {
            ops::expand_middle(&ops::mul(&x[0], &x[0])?, sizes)
        }));
    }
    cases.push(Case::new("mean_all", "[3, 5]", vec![vec![3, 5]], ANY, |x| ops::mean_all(&ops::mul(&x[0], &x[0])?)));
    cases
}
