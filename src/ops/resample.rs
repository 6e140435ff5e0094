use super::nhwc;
use crate::autograd::Var;
use crate::backend::{dispatch, params};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A separable resampling filter: zeros between the pixels (`up`), zeros around them (`pad`), the filter, and every
/// `down`-th result. One operation serves smoothing, nearest and average resampling, and all their gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Resample {
    /// The filter of either axis.
    taps: Vec<f64>,
    up: usize,
    down: usize,
    /// Zeros at the top, bottom, left and right; negative ones crop.
    pad: [isize; 4],
}

impl Resample {
    /// Twice the size through a smoothing filter (such as 1 3 3 1), which keeps the mean.
    pub fn fir_up2(filter: &[f64]) -> Self {
        let p = filter.len() as isize - 2;
        let (before, after) = ((p + 1) / 2 + 1, p / 2);
        Resample { taps: normalised(filter, 2.0), up: 2, down: 1, pad: [before, after, before, after] }
    }

    /// Half the size through a smoothing filter.
    pub fn fir_down2(filter: &[f64]) -> Self {
        let p = filter.len() as isize - 2;
        let (before, after) = ((p + 1) / 2, p / 2);
        Resample { taps: normalised(filter, 1.0), up: 1, down: 2, pad: [before, after, before, after] }
    }

    /// The smoothing filter alone, with zeros at the top, bottom, left and right.
    pub fn fir_pad(filter: &[f64], pad: [usize; 4]) -> Self {
        Resample { taps: normalised(filter, 1.0), up: 1, down: 1, pad: pad.map(|p| p as isize) }
    }

    /// Every pixel twice along both axes.
    pub fn nearest_up2() -> Self {
        Resample { taps: vec![1.0, 1.0], up: 2, down: 1, pad: [1, 0, 1, 0] }
    }

    /// The means of 2x2 pixels.
    pub fn average_down2() -> Self {
        Resample { taps: vec![0.5, 0.5], up: 1, down: 2, pad: [0; 4] }
    }

    /// The size of an axis of `size` pixels afterwards; `None` if nothing is left of it.
    fn out_size(&self, size: usize, before: isize, after: isize) -> Option<usize> {
        let grid = (size * self.up) as isize + before + after - self.taps.len() as isize;
        (grid >= 0).then(|| grid as usize / self.down + 1)
    }

    /// The resampling whose matrix is the transpose of this one's on images of H x W that become P x Q.
    fn transposed(&self, [h, w]: [usize; 2], [p, q]: [usize; 2]) -> Self {
        let taps = self.taps.len() as isize;
        let axis = |before: isize, size: usize, out: usize| {
            let new_before = taps - 1 - before;
            // As many zeros behind as make the result `size` long again.
            let new_after = (size * self.up) as isize - (out * self.down) as isize + before - self.up as isize + 1;
            (new_before, new_after)
        };
        let (top, bottom) = axis(self.pad[0], h, p);
        let (left, right) = axis(self.pad[2], w, q);
        let taps = self.taps.iter().rev().copied().collect();
        Resample { taps, up: self.down, down: self.up, pad: [top, bottom, left, right] }
    }
}

fn normalised(filter: &[f64], gain: f64) -> Vec<f64> {
    let sum: f64 = filter.iter().sum();
    filter.iter().map(|f| f / sum * gain).collect()
}

/// x [N, H, W, C] -> [N, P, Q, C] through a separable filter f of K taps:
///
/// y[p, q] = sum over r, s of f[r] f[s] grid[p down + r - top, q down + s - left], where grid[i up, j up] = x[i, j] and
/// 0 elsewhere; P = (H up + top + bottom - K) / down + 1. Linear: the VJP is the transposed resampling, of any order.
pub fn fir_resample(x: &Var, resample: &Resample) -> Result<Var> {
    let [n, h, w, c] = nhwc("fir_resample", x)?;
    let [top, bottom, left, right] = resample.pad;
    let (Some(p), Some(q)) = (resample.out_size(h, top, bottom), resample.out_size(w, left, right)) else {
        return Err(Error::shape("fir_resample", format!("an image of at least {} pixels", resample.taps.len()), x));
    };
    let g = params::Resample { n, h, w, c, p, q, up: resample.up, down: resample.down, pad_top: top, pad_left: left };
    let y = dispatch!(x.device(), resample::forward(x.storage(); &resample.taps, &g))?;
    let transposed = resample.transposed([h, w], [p, q]);
    Ok(Var::from_op("fir_resample", Tensor::new(y, [n, p, q, c]), &[x], move |g, _| {
        Ok(vec![Some(fir_resample(g, &transposed)?)])
    }))
}
