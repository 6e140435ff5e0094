//! Convolution of any size, stride and padding as matrix products over row pointers: no im2col.
//!
//! For every tap of the filter the tile's rows point at the input pixels under it, or at zeros in the padding. The
//! gradient of the input is the same thing with other taps: of a convolution with stride t, input pixels with equal
//! (h mod t, w mod t) meet the same taps, so each of those t^2 classes is one pass with its own list of taps.

use super::finish::Finish;
use super::gather;
use crate::backend::cpu::Buffer;
use crate::backend::cpu::gemm::pack::{Source, pack_panel};
use crate::backend::cpu::gemm::tile::{NV, Reduction, Sink, nr, tile};
use crate::backend::cpu::gemm::{Columns, MAX_MR, transposed};
use crate::backend::cpu::parallel::{Shared, for_each};
use crate::backend::cpu::simd::{Isa, Simd, simd_fn};
use crate::backend::params::Conv2d;

/// Output pixels of one task.
const PIXELS: usize = 64;
/// Multiply-adds that make a task worth its overhead.
const TASK: usize = 1 << 20;

/// Output pixel (i, j) of a pass sums over its taps src[i step + dy, j step + dx] * weights.
struct Pass {
    n: usize,
    /// The image that is read, [h, w, c].
    src: [usize; 3],
    step: usize,
    /// Pixels of the pass; (i, j) goes to row i dst_step + dst_at[0], column j dst_step + dst_at[1] of images `dst`.
    grid: [usize; 2],
    dst: [usize; 2],
    dst_step: usize,
    dst_at: [usize; 2],
    taps: Vec<Tap>,
    /// Within one tap, weights are a matrix [c, columns] with these steps.
    weight_steps: [usize; 2],
}

struct Tap {
    dy: isize,
    dx: isize,
    /// Where the tap's weights begin.
    weights: usize,
}

impl Pass {
    fn forward(g: &Conv2d) -> Self {
        let taps = (0..g.r * g.s).map(|t| Tap {
            dy: (t / g.s) as isize - g.pad[0] as isize,
            dx: (t % g.s) as isize - g.pad[2] as isize,
            weights: t * g.c,
        });
        Pass {
            n: g.n,
            src: [g.h, g.w, g.c],
            step: g.stride,
            grid: [g.p, g.q],
            dst: [g.p, g.q],
            dst_step: 1,
            dst_at: [0, 0],
            taps: taps.collect(),
            weight_steps: [1, g.r * g.s * g.c],
        }
    }

    /// Pixel h = stride i + a of the input is under tap r of output row p where p stride + r = h + top, that is
    /// p = i + (a + top - r) / stride for those r that leave no remainder.
    fn input_grad(g: &Conv2d) -> Vec<Self> {
        let t = g.stride;
        let offset = |a: usize, top: usize, r: usize| {
            let d = (a + top) as isize - r as isize;
            (d % t as isize == 0).then_some(d / t as isize)
        };
        let mut passes = Vec::new();
        for a in 0..t.min(g.h) {
            for b in 0..t.min(g.w) {
                let mut taps = Vec::new();
                for r in 0..g.r {
                    for s in 0..g.s {
                        if let (Some(dy), Some(dx)) = (offset(a, g.pad[0], r), offset(b, g.pad[2], s)) {
                            taps.push(Tap { dy, dx, weights: (r * g.s + s) * g.c });
                        }
                    }
                }
                passes.push(Pass {
                    n: g.n,
                    src: [g.p, g.q, g.k],
                    step: 1,
                    grid: [(g.h - a).div_ceil(t), (g.w - b).div_ceil(t)],
                    dst: [g.h, g.w],
                    dst_step: t,
                    dst_at: [a, b],
                    taps,
                    weight_steps: [g.r * g.s * g.c, 1],
                });
            }
        }
        passes
    }

    /// Image and position in the output of pixel `i` of the pass, and the source position under tap (0, 0).
    fn pixel(&self, i: usize) -> (usize, usize, [isize; 2]) {
        let (n, i, j) = (i / (self.grid[0] * self.grid[1]), i / self.grid[1] % self.grid[0], i % self.grid[1]);
        let (y, x) = (i * self.dst_step + self.dst_at[0], j * self.dst_step + self.dst_at[1]);
        (n, (n * self.dst[0] + y) * self.dst[1] + x, [(i * self.step) as isize, (j * self.step) as isize])
    }
}

/// y = conv(x, w), finished by `finish`.
pub fn forward(isa: Isa, x: &[f32], w: &[f32], g: &Conv2d, finish: Finish) {
    run(isa, &Pass::forward(g), x, w, finish);
}

/// dx for dy and w.
pub fn input_grad(isa: Isa, dy: &[f32], w: &[f32], g: &Conv2d, finish: Finish) {
    for pass in Pass::input_grad(g) {
        run(isa, &pass, dy, w, finish);
    }
}

/// dw [K, R S C] = dy^T [K, N P Q] times x gathered under the taps [N P Q, R S C].
pub fn weight_grad(isa: Isa, x: &[f32], dy: &[f32], g: &Conv2d, dw: &mut [f32]) {
    let a = Source { p: dy.as_ptr(), k: g.n * g.p * g.q, n: g.k, k_step: g.k, n_step: 1 };
    let n = g.r * g.s * g.c;
    let pack = gather::columns(isa, g, x);
    // SAFETY: the caller has checked the sizes.
    unsafe { transposed(isa, a, Columns::Packed { n, pack: &pack }, dw, n, 1.0, 0.0) }
}

/// Runs a pass over `src` with weights `w`; `finish` takes the sums.
fn run(isa: Isa, pass: &Pass, src: &[f32], w: &[f32], finish: Finish) {
    let [h, width, c] = pass.src;
    let (nr, mr) = (NV * isa.lanes(), isa.mr());
    let (panels, taps) = (finish.k.div_ceil(nr), pass.taps.len());
    let depth = taps * c;
    let pixels = pass.n * pass.grid[0] * pass.grid[1];

    // A panel of weights [taps][c][NR], or one tap of it.
    let pack = |panel: usize, tap: usize, to: *mut f32| {
        let all = Source {
            p: w[pass.taps[tap].weights..].as_ptr(),
            k: c,
            n: finish.k,
            k_step: pass.weight_steps[0],
            n_step: pass.weight_steps[1],
        };
        let columns = (finish.k - panel * nr).min(nr);
        // SAFETY: w holds all taps, and there is room for the panel.
        unsafe { pack_panel(isa, all.block(0, c, panel * nr, columns), to.add(tap * c * nr)) }
    };
    // Weights that are used by one task only are packed there, and are still in its cache when it multiplies.
    let chunks = pixels.div_ceil(PIXELS);
    let mut packed = Buffer::<f32>::scratch(if chunks > 1 { panels * depth * nr } else { 0 });
    if chunks > 1 {
        let to = Shared::new(&mut packed);
        for_each(panels * taps, depth * finish.k, |task| {
            pack(task / taps, task % taps, to.at(task / taps * depth * nr))
        });
    }

    let zeros = vec![0.0; c];
    let group = TASK.div_ceil(pixels.min(PIXELS) * depth.max(1) * nr).min(panels);
    let groups = panels.div_ceil(group);
    for_each(chunks * groups, pixels * depth * finish.k, |task| {
        let (first, panel) = (task / groups * PIXELS, task % groups * group);
        let count = (pixels - first).min(PIXELS);
        let mut rows = Vec::with_capacity(count.next_multiple_of(mr) * taps);
        let mut places = [Place::default(); PIXELS];
        for tile in (0..count).step_by(mr) {
            let mut at = [[0; 2]; MAX_MR];
            let mut image = [0; MAX_MR];
            for i in 0..mr {
                let pixel = first + (tile + i).min(count - 1);
                let (n, to, from) = pass.pixel(pixel);
                (image[i], at[i]) = (n, from);
                places[(tile + i).min(count - 1)] = Place { image: n, at: to * finish.k };
            }
            for tap in &pass.taps {
                rows.extend((0..mr).map(|i| {
                    let (y, x) = ((at[i][0] + tap.dy) as usize, (at[i][1] + tap.dx) as usize);
                    // Negative positions have become huge ones.
                    if y < h && x < width {
                        src[((image[i] * h + y) * width + x) * c..].as_ptr()
                    } else {
                        zeros.as_ptr()
                    }
                }));
            }
        }
        let last = (panel + group).min(panels);
        let mut own = Buffer::<f32>::scratch(if chunks == 1 { (last - panel) * depth * nr } else { 0 });
        if chunks == 1 {
            for i in 0..(last - panel) * taps {
                let (panel, to) = (panel + i / taps, own[i / taps * depth * nr..].as_mut_ptr());
                pack(panel, i % taps, to);
            }
        }
        let block = Block {
            rows: rows.as_ptr(),
            places: places.as_ptr(),
            m: count,
            taps,
            len: c,
            first: panel * nr,
            last: last * nr,
            b: if chunks == 1 { own.as_ptr() } else { packed[panel * depth * nr..].as_ptr() },
            finish,
        };
        // SAFETY: the pointers are valid, and each task writes its own pixels and channels.
        unsafe { block_product(isa, block) }
    });
}

/// Where a pixel's sums go: its image, and the place of its channel 0 in the output.
#[derive(Clone, Copy, Default)]
struct Place {
    image: usize,
    at: usize,
}

/// A task: `m` pixels times the panels of columns `first .. last`.
#[derive(Clone, Copy)]
struct Block {
    /// [m / MR][taps][MR]
    rows: *const *const f32,
    places: *const Place,
    m: usize,
    taps: usize,
    len: usize,
    first: usize,
    last: usize,
    /// These panels [..][taps][len][NR].
    b: *const f32,
    finish: Finish,
}

simd_fn! {
    unsafe fn block_product<S>(t: Block) {
        unsafe {
            for k0 in (t.first..t.last).step_by(nr::<S>()) {
                for m0 in (0..t.m).step_by(S::MR) {
                    let red = Reduction {
                        a: t.rows.add(m0 * t.taps),
                        taps: t.taps,
                        len: t.len,
                        a_step: 1,
                        b: t.b.add((k0 - t.first) * t.taps * t.len),
                        b_step: nr::<S>(),
                    };
                    let sink = Pixels { finish: t.finish, places: t.places.add(m0), k0 };
                    tile::<S>((t.m - m0).min(S::MR), (t.finish.k - k0).min(nr::<S>()), red, sink);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Pixels {
    finish: Finish,
    places: *const Place,
    k0: usize,
}

impl<S: Simd> Sink<S> for Pixels {
    #[inline(always)]
    unsafe fn put(self, i: usize, j: usize, lanes: usize, v: S::V) {
        unsafe {
            let place = *self.places.add(i);
            let biases = self.finish.biases::<S>(place.image, self.k0 + j, lanes);
            self.finish.put::<S>(place.at + self.k0 + j, lanes, S::add(v, biases));
        }
    }
}
