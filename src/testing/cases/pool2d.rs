use super::Case;
use crate::autograd::Var;
use crate::ops::{self, Pool2dOptions, Pooling};

pub fn cases() -> Vec<Case> {
    let (max, average) = (Pooling::Max, Pooling::Average);
    let case = |x: [usize; 4], pooling, [size, stride, pad]: [usize; 3]| {
        let options = Pool2dOptions { pooling, size, stride, pad };
        let name = format!("{pooling:?} {x:?}, {size}x{size}, stride {stride}, padding {pad}");
        Case::new("pool2d", name, vec![x.to_vec()], 0, move |x| Ok(Var::constant(ops::pool2d(x[0].value(), &options)?)))
    };
    vec![
        case([1, 1, 1, 1], max, [1, 1, 0]),
        case([1, 1, 2, 3], average, [3, 1, 1]),
        case([2, 5, 7, 3], max, [3, 2, 0]),
        case([2, 5, 7, 3], average, [3, 1, 1]),
        case([1, 6, 4, 17], max, [3, 1, 1]),
        case([3, 4, 5, 2], average, [2, 3, 1]),
        // Whole packs of 16 bytes, on GPUs a way of its own.
        case([2, 6, 7, 24], max, [3, 2, 1]),
        case([2, 5, 3, 8], average, [3, 1, 1]),
    ]
}
