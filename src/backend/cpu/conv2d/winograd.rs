//! 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): a quarter of the direct algorithm's multiplications.
//!
//! The output is cut into tiles of 4x4. Every tile's 6x6 inputs are transformed into 36 numbers a channel, every filter
//! into 36 numbers, and what was a convolution is 36 matrix products [tiles, C] [C, K]; a last transform makes 4x4
//! outputs of 36 products (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). With channels
//! last all transforms run over vectors of channels.
//!
//! A task takes a block of tiles small enough for its transformed inputs to stay in the second-level cache, and then
//! goes through the output channels a panel at a time, so that products never leave the cache either. The gradient of
//! the input is the same convolution of dy with the filters turned by 180 degrees.

mod filters;
mod transform;
mod weight_grad;

use super::finish::Finish;
use crate::backend::cpu::Buffer;
use crate::backend::cpu::gemm::MAX_MR;
use crate::backend::cpu::gemm::tile::{NV, Reduction, Sink, nr, tile};
use crate::backend::cpu::parallel::for_each;
use crate::backend::cpu::simd::{Isa, Simd, simd_fn};
use crate::backend::params::Conv2d;
use filters::Filters;
use transform::{POINTS, input_tile, load_points, output_tile, store_points};
pub use weight_grad::weight_grad;

/// A number of f32 by which the 36 planes of a workspace are set apart beyond their size, so that one tile's numbers do
/// not all fall into the same cache set.
const SKEW: usize = 16;
/// Transformed inputs of a task, tiles times channels: 36 times that is 576 KiB, half a second-level cache.
const BLOCK: usize = 4096;
/// Tasks to cut a small convolution into.
const TASKS: usize = 16;

/// Whether Winograd is the faster way to the output (or to the input's gradient).
///
/// Counted in vector instructions per 4x4 tile, C and K in vectors of 16: the direct algorithm makes 144 multiply-adds
/// for each pair of channels. Winograd makes 36, and about 200 instructions to transform a channel of the input, 150 a
/// channel of the output and, once for all tiles, 200 a filter. Between very few
/// channels most lanes idle either way and, as measured, Winograd gains nothing (8 to 16) or loses (8 to 8).
pub fn pays(g: &Conv2d) -> bool {
    let tiles = (g.n * g.p.div_ceil(4) * g.q.div_ceil(4)) as f64;
    let (c, k) = (g.c as f64, g.k as f64);
    let direct = 9.0 * (g.n * g.p * g.q) as f64 * c * k;
    let winograd = tiles * (36.0 * c * k + 200.0 * c + 150.0 * k) + 200.0 * c * k;
    fits(g) && g.c * g.k > 128 && winograd < direct
}

/// Whether Winograd can do it at all.
pub fn fits(g: &Conv2d) -> bool {
    g.r == 3 && g.s == 3 && g.stride == 1 && g.pad.iter().all(|&p| p <= 2)
}

/// The images that a convolution reads and the tiles of those that it writes.
#[derive(Clone, Copy)]
struct Tiles {
    n: usize,
    h: usize,
    w: usize,
    /// Channels read.
    c: usize,
    top: usize,
    left: usize,
    /// Size of the output.
    p: usize,
    q: usize,
}

impl Tiles {
    fn forward(g: &Conv2d) -> Self {
        Tiles { n: g.n, h: g.h, w: g.w, c: g.c, top: g.pad[0], left: g.pad[2], p: g.p, q: g.q }
    }

    fn input_grad(g: &Conv2d) -> Self {
        Tiles { n: g.n, h: g.p, w: g.q, c: g.k, top: 2 - g.pad[0], left: 2 - g.pad[2], p: g.h, q: g.w }
    }

    fn count(self) -> usize {
        self.n * self.p.div_ceil(4) * self.q.div_ceil(4)
    }

    /// Image and first output row and column of a tile.
    fn origin(self, tile: usize) -> (usize, usize, usize) {
        let (rows, cols) = (self.p.div_ceil(4), self.q.div_ceil(4));
        (tile / (rows * cols), tile / cols % rows * 4, tile % cols * 4)
    }

    /// The tile's 6x6 input pixels; those outside the image are `zeros`.
    fn pixels(self, tile: usize, x: *const f32, zeros: *const f32) -> [[*const f32; 6]; 6] {
        let (n, p, q) = self.origin(tile);
        let mut pixels = [[zeros; 6]; 6];
        for (i, row) in pixels.iter_mut().enumerate() {
            for (j, pixel) in row.iter_mut().enumerate() {
                let (y, z) = ((p + i).wrapping_sub(self.top), (q + j).wrapping_sub(self.left));
                if y < self.h && z < self.w {
                    *pixel = x.wrapping_add(((n * self.h + y) * self.w + z) * self.c);
                }
            }
        }
        pixels
    }
}

/// y = conv(x, w), finished by `finish`.
pub fn forward(isa: Isa, x: &[f32], w: &[f32], g: &Conv2d, finish: Finish) {
    run(isa, Tiles::forward(g), x, &Filters::forward(isa, g, w), finish);
}

/// dx for dy and w.
pub fn input_grad(isa: Isa, dy: &[f32], w: &[f32], g: &Conv2d, finish: Finish) {
    run(isa, Tiles::input_grad(g), dy, &Filters::turned(isa, g, w), finish);
}

fn run(isa: Isa, tiles: Tiles, x: &[f32], filters: &Filters, finish: Finish) {
    let (nr, mr) = (NV * isa.lanes(), isa.mr());
    let panels = finish.k.div_ceil(nr);
    let block = (BLOCK / tiles.c).clamp(mr, 64).next_multiple_of(mr).min(tiles.count().next_multiple_of(mr));
    let blocks = tiles.count().div_ceil(block);
    // Where there are few tiles, several tasks share a block's channels, and each transforms the block's input.
    let groups = TASKS.div_ceil(blocks).min(panels);
    let group = panels.div_ceil(groups);
    let groups = panels.div_ceil(group);
    let channels = tiles.c.next_multiple_of(isa.lanes());
    let zeros = vec![0.0; tiles.c];
    let work = tiles.count() * POINTS * tiles.c * finish.k;
    for_each(blocks * groups, work, |task| {
        let (first, panel) = (task / groups * block, task % groups * group);
        let count = (tiles.count() - first).min(block);
        let (v_plane, m_plane) = (count * channels + SKEW, count * nr + SKEW);
        let mut v = Buffer::<f32>::scratch(POINTS * v_plane + mr * channels);
        let mut m = Buffer::<f32>::scratch(POINTS * m_plane);
        let t = Block {
            tiles,
            first,
            count,
            panels: (panel, (panel + group).min(panels)),
            channels,
            x: x.as_ptr(),
            zeros: zeros.as_ptr(),
            v: v.as_mut_ptr(),
            v_plane,
            u: filters.u.as_ptr(),
            u_plane: filters.plane,
            m: m.as_mut_ptr(),
            m_plane,
            finish,
        };
        // SAFETY: the workspaces have room; each task writes its own tiles and channels.
        unsafe { block_convolution(isa, t) }
    });
}

/// A task: `count` tiles from `first` on, and panels of output channels.
#[derive(Clone, Copy)]
struct Block {
    tiles: Tiles,
    first: usize,
    count: usize,
    panels: (usize, usize),
    /// Channels of the input in whole vectors.
    channels: usize,
    x: *const f32,
    zeros: *const f32,
    /// Transformed inputs [36][count][channels], the 36 planes `v_plane` apart.
    v: *mut f32,
    v_plane: usize,
    /// Transformed filters [panels][36][C][NR].
    u: *const f32,
    u_plane: usize,
    /// Products of one panel [36][count][NR].
    m: *mut f32,
    m_plane: usize,
    finish: Finish,
}

simd_fn! {
    unsafe fn block_convolution<S>(t: Block) {
        unsafe {
            for i in 0..t.count {
                let pixels = t.tiles.pixels(t.first + i, t.x, t.zeros);
                transform_input::<S>(&pixels, t.tiles.c, |c| t.v.add(i * t.channels + c), t.v_plane);
            }
            for panel in t.panels.0..t.panels.1 {
                for f in 0..POINTS {
                    multiply::<S>(t, panel, f);
                }
                for i in 0..t.count {
                    transform_output::<S>(t, panel, i);
                }
            }
        }
    }
}

/// B^T X B for all channels of one tile; `at` tells where channel c of point 0 goes, the others follow `plane` apart.
#[inline(always)]
unsafe fn transform_input<S: Simd>(
    pixels: &[[*const f32; 6]; 6],
    channels: usize,
    at: impl Fn(usize) -> *mut f32,
    plane: usize,
) {
    unsafe {
        for c in (0..channels).step_by(S::LANES) {
            let lanes = (channels - c).min(S::LANES);
            let mut x = [[S::splat(0.0); 6]; 6];
            for (row, pixels) in x.iter_mut().zip(pixels) {
                for (x, pixel) in row.iter_mut().zip(pixels) {
                    let p = pixel.add(c);
                    *x = if lanes == S::LANES { S::load(p) } else { S::load_first(p, lanes) };
                }
            }
            store_points::<S>(&input_tile::<S>(&x), at(c), plane);
        }
    }
}

/// M = V U at one of the 36 points, for one panel of output channels.
#[inline(always)]
unsafe fn multiply<S: Simd>(t: Block, panel: usize, f: usize) {
    unsafe {
        for m0 in (0..t.count).step_by(S::MR) {
            let rows = (t.count - m0).min(S::MR);
            let mut a = [t.v.cast_const(); MAX_MR];
            for (i, a) in a.iter_mut().enumerate() {
                *a = t.v.add(f * t.v_plane + (m0 + i.min(rows - 1)) * t.channels);
            }
            let b = t.u.add((panel * POINTS + f) * t.u_plane);
            let red = Reduction { a: a.as_ptr(), taps: 1, len: t.tiles.c, a_step: 1, b, b_step: nr::<S>() };
            let sink = Products { m: t.m.add(f * t.m_plane + m0 * nr::<S>()) };
            tile::<S>(rows, nr::<S>().min(t.finish.k - panel * nr::<S>()), red, sink);
        }
    }
}

#[derive(Clone, Copy)]
struct Products {
    m: *mut f32,
}

impl<S: Simd> Sink<S> for Products {
    #[inline(always)]
    unsafe fn put(self, i: usize, j: usize, _: usize, v: S::V) {
        unsafe { S::store(self.m.add(i * nr::<S>() + j), v) }
    }
}

/// The outputs of one tile and one panel.
#[inline(always)]
unsafe fn transform_output<S: Simd>(t: Block, panel: usize, i: usize) {
    let (n, p0, q0) = t.tiles.origin(t.first + i);
    unsafe {
        for j in (0..nr::<S>()).step_by(S::LANES) {
            let k = panel * nr::<S>() + j;
            if k >= t.finish.k {
                break;
            }
            let m = load_points::<S>(t.m.add(i * nr::<S>() + j), t.m_plane);
            let y = output_tile::<S>(&m);
            let lanes = (t.finish.k - k).min(S::LANES);
            for (a, row) in y.iter().enumerate().take(t.tiles.p - p0) {
                for (b, &y) in row.iter().enumerate().take(t.tiles.q - q0) {
                    let pixel = (n * t.tiles.p + p0 + a) * t.tiles.q + q0 + b;
                    t.finish.put::<S>(n, pixel * t.finish.k, k, lanes, y);
                }
            }
        }
    }
}
