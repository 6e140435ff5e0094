use super::{ANY, Case};
use crate::ops::{self, Conv2dOptions, ConvEpilogue};

/// x [N, H, W, C], filter R x S, K outputs, stride, padding.
struct Shape {
    x: [usize; 4],
    k: usize,
    rs: [usize; 2],
    stride: usize,
    pad: [usize; 4],
}

pub fn cases() -> Vec<Case> {
    let same =
        |x: [usize; 4], k: usize, filter: usize| Shape { x, k, rs: [filter; 2], stride: 1, pad: [filter / 2; 4] };
    let ugly = [
        same([1, 1, 1, 1], 1, 1),
        same([2, 5, 3, 3], 2, 3),
        same([1, 7, 9, 5], 3, 3),
        same([3, 2, 2, 4], 5, 1),
        Shape { x: [2, 7, 5, 3], k: 2, rs: [3, 3], stride: 2, pad: [0; 4] },
        Shape { x: [1, 6, 4, 2], k: 3, rs: [3, 3], stride: 2, pad: [0, 1, 0, 1] },
        Shape { x: [1, 5, 6, 2], k: 1, rs: [2, 3], stride: 1, pad: [1, 0, 2, 1] },
        // Whole packs of channels, on GPUs a way of its own.
        same([3, 5, 7, 16], 24, 3),
        Shape { x: [2, 9, 6, 8], k: 72, rs: [3, 3], stride: 2, pad: [0, 1, 0, 1] },
        same([1, 6, 5, 40], 3, 1),
        same([2, 9, 11, 8], 136, 3),
    ];
    // The generator's levels at width 128, and the discriminator's last.
    let real = [
        same([16, 32, 32, 128], 128, 3),
        same([16, 16, 16, 256], 256, 3),
        same([16, 8, 8, 512], 256, 3),
        same([16, 4, 4, 512], 512, 3),
        same([16, 32, 32, 256], 128, 1),
        same([16, 32, 32, 128], 3, 3),
        same([1, 32, 32, 128], 128, 3),
        same([64, 32, 32, 32], 32, 3),
    ];
    let plain = ugly.iter().map(|s| (s, false)).chain(real.iter().map(|s| (s, true)));
    let mut cases: Vec<Case> = plain
        .map(|(s, real)| {
            let Shape { x: [n, h, w, c], k, rs: [r, q], stride, pad } = *s;
            let options = Conv2dOptions { stride, pad };
            let shapes = vec![s.x.to_vec(), vec![k, r, q, c]];
            let name = format!("{n}x{h}x{w}x{c} to {k}, {r}x{q}, stride {stride}");
            let outputs = (n * ((h + pad[0] + pad[1] - r) / stride + 1)) * ((w + pad[2] + pad[3] - q) / stride + 1) * k;
            let case = Case::new("conv2d", name, shapes, ANY, move |x| {
                ops::conv2d(&x[0], &x[1], &options, &ConvEpilogue::default())
            });
            Case { real, ..case }.flops(2.0 * (outputs * r * q * c) as f64)
        })
        .collect();
    // The last two on tensor cores: outputs in whole packs, and not.
    for (c, k) in [(3, 4), (16, 24), (8, 5)] {
        let shapes = vec![vec![2, 3, 5, c], vec![k, 3, 3, c], vec![k], vec![2, k], vec![2, 3, 5, k]];
        cases.push(Case::new("conv2d", format!("whole epilogue, {c} to {k}"), shapes, ANY, |x| {
            let epilogue =
                ConvEpilogue { bias: Some(&x[2]), time_bias: Some(&x[3]), residual: Some(&x[4]), scale: 0.5f64.sqrt() };
            ops::conv2d(&x[0], &x[1], &Conv2dOptions::same(3), &epilogue)
        }));
    }
    cases
}
