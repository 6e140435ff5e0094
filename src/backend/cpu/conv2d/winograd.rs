//! 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): a quarter of the direct algorithm's multiplications.
//!
//! The output is cut into tiles of 4x4. Every tile's 6x6 inputs are transformed into 36 numbers a channel, every filter
//! into 36 numbers, and what was a convolution is 36 matrix products [tiles, C] [C, K]; a last transform makes 4x4
//! outputs of 36 products (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). With channels
//! last all transforms run over vectors of channels.
//!
//! The gradient of the input is the same convolution of dy with the filters turned by 180 degrees. There are two plans,
//! by which of the operands is the larger:
//!
//! - Many tiles: all filters are transformed once. A task takes a block of tiles small enough for its transformed
//!   inputs to stay in the second-level cache, and goes through the output channels a panel at a time, so that the
//!   products never leave the cache either.
//! - Few tiles (small images, small batches) and panels of filters for all threads: all inputs are transformed once. A task takes a panel of output channels
//!   and transforms its filters, some input channels at a time, right before it multiplies with them: 36 numbers for 9
//!   weights never go to memory.

mod filters;
mod steps;
mod transform;
mod weight_grad;

use super::finish::Finish;
use crate::backend::cpu::Buffer;
use crate::backend::cpu::gemm::tile::{NV, nr};
use crate::backend::cpu::parallel::for_each;
use crate::backend::cpu::simd::{Isa, simd_fn};
use crate::backend::params::Conv2d;
use filters::{Filters, transform_panel};
use steps::{Block, multiply, transform_input, transform_output};
use transform::POINTS;
pub use weight_grad::weight_grad;

/// A number of f32 by which the 36 planes of a workspace are set apart beyond their size, so that one tile's numbers do
/// not all fall into the same cache set.
const SKEW: usize = 16;
/// Transformed inputs of a task, tiles times channels: 36 times that is 576 KiB, half a second-level cache.
const BLOCK: usize = 4096;
/// Up to this many tiles are few.
const FEW: usize = 64;
/// Tiles below which no task goes to give other threads work.
const SHARE: usize = 16;
/// Input channels whose filters are transformed at a time where there are few tiles: 288 KiB of them for a panel, and
/// as much of products, in the second-level cache.
const CHANNELS: usize = 64;

/// Whether Winograd is the faster way, to the output or to either gradient.
///
/// Counted in vector instructions for each pair of channels: the direct algorithm makes 9 a pixel. Winograd makes 36 a
/// tile, about 200 for each transformed input channel and 150 for each output channel, shared by the channels on the
/// other side; the 140 for the filter are left out, since with them the choice, and so the rounding, would depend on the
/// number of images: a picture shall be the same in whatever batch it is drawn. With fewer than 8 channels both leave
/// lanes idle. Measured (AVX-512, one thread, direct / Winograd): one tile 0.6 to 1.0, four tiles 1.1 (8 to 8 channels)
/// to 1.9 (128 to 128), 64 tiles 2.2 to 3.4.
///
/// Up to 128 pairs of channels stay direct although they would gain: no network of a useful size is so narrow, but the
/// golden discriminators are, and in the large one Winograd's rounding (1e-6) moves the gradient of x by 2.6e-3, it
/// seems by carrying single numbers across LeakyReLU's kink.
pub fn pays(g: &Conv2d) -> bool {
    let tiles = (g.p.div_ceil(4) * g.q.div_ceil(4)) as f64;
    let direct = 9.0 * (g.p * g.q) as f64;
    let winograd = tiles * (36.0 + 200.0 / g.k.max(8) as f64 + 150.0 / g.c.max(8) as f64);
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
        for (i, pixels) in pixels.iter_mut().enumerate() {
            let y = (p + i).wrapping_sub(self.top);
            if y < self.h {
                let row = x.wrapping_add((n * self.h + y) * self.w * self.c);
                for (j, pixel) in pixels.iter_mut().enumerate() {
                    let z = (q + j).wrapping_sub(self.left);
                    if z < self.w {
                        *pixel = row.wrapping_add(z * self.c);
                    }
                }
            }
        }
        pixels
    }
}

/// y = conv(x, w), finished by `finish`.
pub fn forward(isa: Isa, x: &[f32], w: &[f32], g: &Conv2d, finish: Finish) {
    run(isa, Tiles::forward(g), x, Filters::forward(g, w), finish);
}

/// dx for dy and w.
pub fn input_grad(isa: Isa, dy: &[f32], w: &[f32], g: &Conv2d, finish: Finish) {
    run(isa, Tiles::input_grad(g), dy, Filters::turned(g, w), finish);
}

fn run(isa: Isa, tiles: Tiles, x: &[f32], filters: Filters, finish: Finish) {
    assert_eq!((filters.c, filters.k), (tiles.c, finish.k));
    // How many threads there are decides the plan, since both give the same bits.
    let (panels, threads) = (finish.k.div_ceil(NV * isa.lanes()), rayon::current_num_threads());
    let few_tiles = tiles.count() <= FEW && (threads == 1 || panels >= 2 * threads);
    if few_tiles { few(isa, tiles, x, filters, finish) } else { many(isa, tiles, x, filters, finish) }
}

/// Numbers in a plane of transformed inputs and in one of a panel's products, for `count` tiles.
fn planes(isa: Isa, tiles: Tiles, count: usize) -> (usize, usize) {
    let count = count.next_multiple_of(isa.mr());
    (count * tiles.c.next_multiple_of(isa.lanes()) + SKEW, count * NV * isa.lanes() + SKEW)
}

fn many(isa: Isa, tiles: Tiles, x: &[f32], filters: Filters, finish: Finish) {
    let panels = finish.k.div_ceil(NV * isa.lanes());
    let (u, u_plane) = filters.transform(isa);
    let tasks = 2 * rayon::current_num_threads();
    let share = tiles.count().div_ceil(tasks).max(SHARE);
    let block = (BLOCK / tiles.c).clamp(isa.mr(), 64).min(share).next_multiple_of(isa.mr()).min(tiles.count());
    let blocks = tiles.count().div_ceil(block);
    // With many threads several tasks share a block, and each transforms its input. That changes no result.
    let group = panels.div_ceil(tasks.div_ceil(blocks).min(panels));
    let groups = panels.div_ceil(group);
    let zeros = vec![0.0; tiles.c];
    for_each(blocks * groups, tiles.count() * POINTS * tiles.c * finish.k, |task| {
        let (first, panel) = (task / groups * block, task % groups * group);
        let count = (tiles.count() - first).min(block);
        let (v_plane, m_plane) = planes(isa, tiles, count);
        let mut v = Buffer::<f32>::scratch(POINTS * v_plane);
        let mut m = Buffer::<f32>::scratch(POINTS * m_plane);
        let t = Block { tiles, first, count, v: v.as_mut_ptr(), v_plane, m: m.as_mut_ptr(), m_plane, finish };
        // SAFETY: the workspaces have room; each task writes its own tiles and channels.
        unsafe {
            transform_inputs(isa, t, x.as_ptr(), zeros.as_ptr(), 0, count);
            for panel in panel..(panel + group).min(panels) {
                convolve_panel(isa, t, panel, u[panel * POINTS * u_plane..].as_ptr(), u_plane);
            }
        }
    });
}

simd_fn! {
    /// Tiles `begin .. end` of the block.
    unsafe fn transform_inputs<S>(t: Block, x: *const f32, zeros: *const f32, begin: usize, end: usize) {
        let channels = t.tiles.c.next_multiple_of(S::LANES);
        for i in begin..end {
            unsafe {
                transform_input::<S>(
                    t.tiles,
                    t.first + i,
                    x,
                    zeros,
                    #[inline(always)]
                    |c| t.v.add(i * channels + c),
                    t.v_plane,
                )
            }
        }
    }
}

simd_fn! {
    unsafe fn convolve_panel<S>(t: Block, panel: usize, u: *const f32, u_plane: usize) {
        unsafe {
            for f in 0..POINTS {
                multiply::<S>(t, panel, f, u.add(f * u_plane), 0, t.tiles.c);
            }
            for i in 0..t.count {
                transform_output::<S>(t, panel, i);
            }
        }
    }
}

fn few(isa: Isa, tiles: Tiles, x: &[f32], filters: Filters, finish: Finish) {
    let nr = NV * isa.lanes();
    let count = tiles.count();
    let (v_plane, m_plane) = planes(isa, tiles, count);
    let mut v = Buffer::<f32>::scratch(POINTS * v_plane);
    let zeros = vec![0.0; tiles.c];
    let t = Block { tiles, first: 0, count, v: v.as_mut_ptr(), v_plane, m: std::ptr::null_mut(), m_plane, finish };
    for_each(count, count * POINTS * tiles.c, |tile| {
        // SAFETY: each task writes its own tile.
        unsafe { transform_inputs(isa, t, x.as_ptr(), zeros.as_ptr(), tile, tile + 1) }
    });
    for_each(finish.k.div_ceil(nr), count * POINTS * tiles.c * finish.k, |panel| {
        let mut m = Buffer::<f32>::scratch(POINTS * m_plane);
        let mut u = Buffer::<f32>::scratch(POINTS * (CHANNELS * nr + SKEW));
        // SAFETY: the workspaces have room; each task writes its own channels.
        unsafe { transform_and_convolve(isa, t.with_products(&mut m), panel, filters, u.as_mut_ptr()) }
    });
}

simd_fn! {
    unsafe fn transform_and_convolve<S>(t: Block, panel: usize, filters: Filters, u: *mut f32) {
        let plane = CHANNELS * nr::<S>() + SKEW;
        unsafe {
            for c0 in (0..t.tiles.c).step_by(CHANNELS) {
                let c1 = (c0 + CHANNELS).min(t.tiles.c);
                transform_panel::<S>(filters, panel * nr::<S>(), c0, c1, u, plane);
                for f in 0..POINTS {
                    multiply::<S>(t, panel, f, u.add(f * plane), c0, c1);
                }
            }
            for i in 0..t.count {
                transform_output::<S>(t, panel, i);
            }
        }
    }
}
