use super::{ANY, Case};
use crate::ops;

pub fn cases() -> Vec<Case> {
    // Groups of 1, 2, 3 and 4; a group of 1 has no deviation, so its channel is a constant.
    let shapes = [[1, 2, 1, 3], [2, 1, 3, 2], [6, 1, 1, 2], [8, 2, 2, 3], [7, 1, 2, 1]];
    let case = |x: [usize; 4]| {
        Case::new("minibatch_stddev", format!("{x:?}"), vec![x.to_vec()], ANY, |x| ops::minibatch_stddev(&x[0]))
    };
    shapes.into_iter().map(case).collect()
}
