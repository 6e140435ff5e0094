//! The three steps of a Winograd convolution on a block of tiles: inputs to the 36 points, products, points to outputs.

use super::Tiles;
use super::transform::{input_tile, output_tile};
use crate::backend::cpu::conv2d::finish::Finish;
use crate::backend::cpu::gemm::MAX_MR;
use crate::backend::cpu::gemm::tile::{Reduction, Sink, nr, tile};
use crate::backend::cpu::simd::Simd;

/// `count` tiles from `first` on, with workspaces. The 36 planes are `v_plane` and `m_plane` numbers apart.
#[derive(Clone, Copy)]
pub struct Block {
    pub tiles: Tiles,
    pub first: usize,
    pub count: usize,
    /// Transformed inputs [36][count][channels in whole vectors].
    pub v: *mut f32,
    pub v_plane: usize,
    /// Products of one panel of output channels [36][count in whole tiles][NR].
    pub m: *mut f32,
    pub m_plane: usize,
    pub finish: Finish,
}

// SAFETY: the pointers outlive the tasks, which write each its own part.
unsafe impl Send for Block {}
unsafe impl Sync for Block {}

impl Block {
    /// The same tiles with other room for the products.
    pub fn with_products(self, m: &mut [f32]) -> Self {
        Block { m: m.as_mut_ptr(), ..self }
    }
}

/// B^T X B for all channels of one tile; `at` tells where channel c of point 0 goes, the others follow `plane` apart.
///
/// # Safety
/// In a body of `simd_fn!`, as everything here; `x` holds the images, `zeros` a pixel, and `at` leads to room.
#[inline(always)]
pub unsafe fn transform_input<S: Simd>(
    tiles: Tiles,
    tile: usize,
    x: *const f32,
    zeros: *const f32,
    at: impl Fn(usize) -> *mut f32,
    plane: usize,
) {
    let pixels = tiles.pixels(tile, x, zeros);
    // The next tile's pixels are asked for while this one is worked on.
    let next = tiles.pixels((tile + 1).min(tiles.count() - 1), x, zeros);
    for c in (0..tiles.c).step_by(S::LANES) {
        let lanes = (tiles.c - c).min(S::LANES);
        unsafe {
            input_tile::<S>(
                #[inline(always)]
                |i, j| {
                    S::prefetch(next[i][j].add(c));
                    let p = pixels[i][j].add(c);
                    if lanes == S::LANES { S::load(p) } else { S::load_first(p, lanes) }
                },
                at(c),
                plane,
            );
        }
    }
}

/// M = V U at point f, summed over input channels `c0 .. c1`; from the second range on M += V U. U is [c1 - c0][NR].
/// Sums go on where they were left, so that ranges give the same bits as one go.
///
/// # Safety
/// In a body of `simd_fn!`; the block's workspaces and U are there.
#[inline(always)]
pub unsafe fn multiply<S: Simd>(t: Block, panel: usize, f: usize, u: *const f32, c0: usize, c1: usize) {
    let channels = t.tiles.c.next_multiple_of(S::LANES);
    let columns = nr::<S>().min(t.finish.k - panel * nr::<S>());
    unsafe {
        for m0 in (0..t.count).step_by(S::MR) {
            let rows = (t.count - m0).min(S::MR);
            let mut a = [t.v.cast_const(); MAX_MR];
            for (i, a) in a.iter_mut().enumerate() {
                *a = t.v.add(f * t.v_plane + (m0 + i.min(rows - 1)) * channels + c0);
            }
            let red = Reduction { a: a.as_ptr(), taps: 1, len: c1 - c0, a_step: 1, b: u, b_step: nr::<S>() };
            let m = t.m.add(f * t.m_plane + m0 * nr::<S>());
            if c0 == 0 {
                tile::<S>(rows, columns, red, Set(m));
            } else {
                tile::<S>(rows, columns, red, GoOn(m));
            }
        }
    }
}

/// Stores the sums.
#[derive(Clone, Copy)]
struct Set(*mut f32);

impl<S: Simd> Sink<S> for Set {
    const BARE: bool = true;

    #[inline(always)]
    unsafe fn put(self, i: usize, j: usize, _: usize, v: S::V) {
        unsafe { S::store(self.0.add(i * nr::<S>() + j), v) }
    }
}

/// Goes on from the sums that are there.
#[derive(Clone, Copy)]
struct GoOn(*mut f32);

impl<S: Simd> Sink<S> for GoOn {
    const BARE: bool = true;
    const GOES_ON: bool = true;

    #[inline(always)]
    unsafe fn start(self, i: usize, j: usize) -> S::V {
        unsafe { S::load(self.0.add(i * nr::<S>() + j)) }
    }

    #[inline(always)]
    unsafe fn put(self, i: usize, j: usize, lanes: usize, v: S::V) {
        unsafe { Sink::<S>::put(Set(self.0), i, j, lanes, v) }
    }
}

/// A^T M A, finished: the outputs of the block's tile `i` in one panel of channels.
///
/// # Safety
/// In a body of `simd_fn!`; the block's products are there, and no other task writes these outputs.
#[inline(always)]
pub unsafe fn transform_output<S: Simd>(t: Block, panel: usize, i: usize) {
    let (n, p, q) = t.tiles.origin(t.first + i);
    let (rows, cols) = (t.tiles.p - p, t.tiles.q - q);
    let pixel = (n * t.tiles.p + p) * t.tiles.q + q;
    for j in (0..nr::<S>()).step_by(S::LANES) {
        let k = panel * nr::<S>() + j;
        if k >= t.finish.k {
            break;
        }
        let lanes = (t.finish.k - k).min(S::LANES);
        unsafe {
            let from = t.m.add(i * nr::<S>() + j);
            let biases = t.finish.biases::<S>(n, k, lanes);
            output_tile::<S>(
                from,
                t.m_plane,
                #[inline(always)]
                |a, b, y| {
                    if a < rows && b < cols {
                        let at = (pixel + a * t.tiles.q + b) * t.finish.k + k;
                        t.finish.put::<S>(at, lanes, S::add(y, biases));
                    }
                },
            );
        }
    }
}
