//! Shapes and numbers that an operation's kernels take, the same struct on the CPU and on the GPU.
//!
//! Dimension letters: N batch, C channels in, K channels out, H W input, P Q output, R S filter.

use std::ops::Range;

/// A 2-D convolution: x [N,H,W,C], w [K,R,S,C], y [N,P,Q,K].
///
/// y[n,p,q,k] = sum over r,s,c of x[n, p stride + r - top, q stride + s - left, c] w[k,r,s,c], where x is 0 outside.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub k: usize,
    pub r: usize,
    pub s: usize,
    pub p: usize,
    pub q: usize,
    pub stride: usize,
    /// Rows above and below, columns left and right.
    pub pad: [usize; 4],
}

const _: () = assert!(size_of::<Conv2d>() == 14 * size_of::<usize>());

impl Conv2d {
    /// The convolution of x [N,H,W,C] with w [K,R,S,C]. The padded input must be at least as large as the filter.
    pub fn new(x: [usize; 4], w: [usize; 4], stride: usize, pad: [usize; 4]) -> Self {
        let [n, h, width, c] = x;
        let [k, r, s, wc] = w;
        debug_assert!(c == wc && stride > 0 && r > 0 && s > 0, "x {x:?}, w {w:?}, stride {stride}");
        debug_assert!(h + pad[0] + pad[1] >= r && width + pad[2] + pad[3] >= s, "x {x:?}, w {w:?}, pad {pad:?}");
        let p = (h + pad[0] + pad[1] - r) / stride + 1;
        let q = (width + pad[2] + pad[3] - s) / stride + 1;
        Conv2d { n, h, w: width, c, k, r, s, p, q, stride, pad }
    }

    pub fn x_len(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    pub fn w_len(&self) -> usize {
        self.k * self.r * self.s * self.c
    }

    pub fn y_len(&self) -> usize {
        self.n * self.p * self.q * self.k
    }

    /// Multiplications and additions of the direct algorithm; the same for the output and for both gradients.
    pub fn flops(&self) -> f64 {
        2.0 * self.y_len() as f64 * (self.r * self.s * self.c) as f64
    }
}

/// What a GPU, which has no instruction for it, needs to divide numbers below 2^31 by the same number again and again:
/// n / by = (n multiplier) / 2^(31 + shift), rounded down (Granlund and Montgomery, 1994).
///
/// The multiplier is 2^(31 + shift) / by rounded up, 2^shift being at least `by`. Rounding adds less than
/// n / 2^(31 + shift) < 1 / by to a quotient, which does not reach the next whole number.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divisor {
    pub by: u32,
    pub multiplier: u32,
    pub shift: u32,
}

impl Divisor {
    /// A divisor from 1 to 2^31.
    pub fn new(by: usize) -> Self {
        assert!((1..=1 << 31).contains(&by), "a divisor of {by}");
        let shift = by.next_power_of_two().trailing_zeros();
        Divisor { by: by as u32, multiplier: (1u64 << (31 + shift)).div_ceil(by as u64) as u32, shift }
    }
}

/// A [`Conv2d`] for kernels that find places by dividing, in 32 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Conv2dIndex {
    pub n: u32,
    pub h: Divisor,
    pub w: Divisor,
    pub c: Divisor,
    pub k: Divisor,
    pub r: u32,
    pub s: Divisor,
    pub p: Divisor,
    pub q: Divisor,
    pub stride: Divisor,
    pub top: i32,
    pub left: i32,
}

impl From<&Conv2d> for Conv2dIndex {
    fn from(g: &Conv2d) -> Self {
        let places = [g.n * g.h * g.w, g.n * g.p * g.q, g.r * g.s * g.c, g.r * g.s * g.k];
        assert!(places.iter().all(|&n| n < 1 << 30), "a convolution of 2^30 pixels or taps: {g:?}");
        let [h, w, c, k, s, p, q, stride] = [g.h, g.w, g.c, g.k, g.s, g.p, g.q, g.stride].map(Divisor::new);
        let [top, left] = [g.pad[0], g.pad[2]].map(|pad| pad as i32);
        Conv2dIndex { n: g.n as u32, h, w, c, k, r: g.r as u32, s, p, q, stride, top, left }
    }
}

/// A batch of matrix products, row-major: C_i = alpha op(A_i) op(B_i) + beta C_i, op(A) [M,K], op(B) [K,N], C [M,N].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Numbers between the starts of two rows, as the matrices lie in memory.
    pub lda: usize,
    pub ldb: usize,
    pub ldc: usize,
    /// Matrices in the batch, and numbers between the starts of two of them (0: the same one for all; not for C).
    pub batch: usize,
    pub stride_a: usize,
    pub stride_b: usize,
    pub stride_c: usize,
    /// A is [K,M] in memory, B is [N,K].
    pub trans_a: bool,
    pub trans_b: bool,
    pub alpha: f64,
    /// 0 does not read C.
    pub beta: f64,
}

impl Gemm {
    /// C = A B of dense matrices.
    pub fn new(m: usize, n: usize, k: usize) -> Self {
        Gemm {
            m,
            n,
            k,
            lda: k,
            ldb: n,
            ldc: n,
            batch: 1,
            stride_a: m * k,
            stride_b: k * n,
            stride_c: m * n,
            trans_a: false,
            trans_b: false,
            alpha: 1.0,
            beta: 0.0,
        }
    }

    /// A is dense [K,M].
    pub fn trans_a(self) -> Self {
        Gemm { trans_a: true, lda: self.m, ..self }
    }

    /// B is dense [N,K].
    pub fn trans_b(self) -> Self {
        Gemm { trans_b: true, ldb: self.k, ..self }
    }

    /// `batch` dense matrices, one after another.
    pub fn batch(self, batch: usize) -> Self {
        Gemm { batch, ..self }
    }

    pub fn alpha(self, alpha: f64) -> Self {
        Gemm { alpha, ..self }
    }

    pub fn beta(self, beta: f64) -> Self {
        Gemm { beta, ..self }
    }

    pub fn flops(&self) -> f64 {
        2.0 * (self.batch * self.m) as f64 * (self.n * self.k) as f64
    }
}

/// Group norm of x [N, HW, C].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    pub n: usize,
    pub hw: usize,
    pub c: usize,
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Scale and shift are [N, C], not [C].
    pub per_sample: bool,
    /// SiLU follows.
    pub silu: bool,
}

impl GroupNorm {
    /// Channels in a group.
    pub fn group_size(&self) -> usize {
        self.c / self.groups
    }
}

/// How [`GroupNorm`]'s kernels cut a tensor into tiles: rows by whole groups of channels of a sample.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GroupTiles {
    /// Channels of a tile; the last of a sample may be narrower.
    pub width: u32,
    /// Channels of a group.
    pub group_size: Divisor,
    /// Tiles side by side in a sample.
    pub across: Divisor,
}

/// Pooling of x [N, H, W, C] to [N, P, Q, C].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Pool2d {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub p: usize,
    pub q: usize,
    /// Height and width of a window.
    pub size: usize,
    pub stride: usize,
    /// On every side; less than `size`.
    pub pad: usize,
    /// The mean of the pixels inside of the image, not the maximum.
    pub average: bool,
}

impl Pool2d {
    /// The part of window `out` of an axis that is in the image, of `len` pixels.
    pub fn window(&self, out: usize, len: usize) -> Range<usize> {
        let start = out * self.stride;
        start.saturating_sub(self.pad)..(start + self.size - self.pad).min(len)
    }
}

/// Up- and downsampling of x [N, H, W, C] to [N, P, Q, C].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Resample {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub p: usize,
    pub q: usize,
    /// Grid points for each input, the others zero.
    pub up: usize,
    /// Grid points for each output.
    pub down: usize,
    /// Zeros above and to the left of the grid; negative pads crop.
    pub pad_top: isize,
    pub pad_left: isize,
}

/// The filter of a [`Resample`], the same for both axes, as GPUs take it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Taps {
    pub count: usize,
    pub at: [f32; 32],
}

impl Taps {
    pub const MOST: usize = 32;

    /// None if there are too many.
    pub fn new(taps: &[f64]) -> Option<Taps> {
        let mut at = [0.0; Taps::MOST];
        at.get_mut(..taps.len())?.iter_mut().zip(taps).for_each(|(to, &tap)| *to = tap as f32);
        Some(Taps { count: taps.len(), at })
    }
}

/// What is the same in all steps of Adam (Kingma and Ba, 2015) and of the exponential moving average.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub ema_decay: f64,
}

impl Adam {
    /// What differs: lr / (1 - beta1^step) and sqrt(1 - beta2^step), of steps counted from 1.
    pub fn of_step(&self, lr: f64, step: u64) -> [f64; 2] {
        [lr / (1.0 - self.beta1.powi(step as i32)), (1.0 - self.beta2.powi(step as i32)).sqrt()]
    }
}

/// The numbers of [`Adam`] as its formula uses them, rounded once.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    pub beta1: f32,
    pub rest1: f32,
    pub beta2: f32,
    pub rest2: f32,
    pub eps: f32,
    pub ema_decay: f32,
    pub ema_rest: f32,
}

impl From<&Adam> for AdamStep {
    fn from(p: &Adam) -> Self {
        AdamStep {
            beta1: p.beta1 as f32,
            rest1: (1.0 - p.beta1) as f32,
            beta2: p.beta2 as f32,
            rest2: (1.0 - p.beta2) as f32,
            eps: p.eps as f32,
            ema_decay: p.ema_decay as f32,
            ema_rest: (1.0 - p.ema_decay) as f32,
        }
    }
}

/// Where `n` numbers of one parameter are in a GPU's memory, with their moments, average (0 if there is none) and
/// gradient.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct AdamChunk {
    pub w: u64,
    pub m: u64,
    pub v: u64,
    pub ema: u64,
    pub g: u64,
    pub n: usize,
}

/// A sum over the middle axis of [outer, middle, inner], `chunk` rows at a time.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SumSizes {
    pub outer: usize,
    pub middle: usize,
    pub inner: usize,
    pub chunk: usize,
}

/// Attention of one head over N sequences of T tokens of C numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub n: usize,
    pub t: usize,
    pub c: usize,
}

impl Attention {
    /// What the scores are multiplied by, 1/sqrt(C).
    pub fn scale(&self) -> f64 {
        1.0 / (self.c as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::Divisor;

    /// As kernels/divide.cuh computes it.
    fn quotient(n: u32, d: Divisor) -> u32 {
        ((u64::from(2 * n) * u64::from(d.multiplier)) >> 32) as u32 >> d.shift
    }

    #[test]
    fn a_divisor_divides_every_number() {
        let last = (1u32 << 31) - 1;
        for by in
            (1..70).chain([255, 256, 257, 641, 65_535, 65_537, 1 << 30, last as usize - 1, last as usize, 1 << 31])
        {
            let d = Divisor::new(by);
            let multiples = [1, 2, 3, 1000, last / d.by].map(|i| i.saturating_mul(d.by));
            let near = multiples.iter().flat_map(|&m| m.saturating_sub(2)..m.saturating_add(2));
            for n in (0..2000).chain(near).chain(last - 2000..=last).filter(|&n| n <= last) {
                assert_eq!(quotient(n, d), n / d.by, "{n} / {by}");
            }
        }
    }
}
