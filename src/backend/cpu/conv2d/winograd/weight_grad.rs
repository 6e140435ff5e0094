//! The gradient of the weights among the transformed numbers: with V = B^T X B and dM = A dY A^T of every tile,
//! dU = sum over tiles of dM^T V at each of the 36 points, and dg = G^T dU G.
//!
//! Tiles go through in rounds, small enough for V and dM of a round to stay in the third-level cache. In a round the
//! transforms are shared out by tiles, then the products by points and columns of dU.

use super::steps::transform_input;
use super::transform::{POINTS, filter_tile_adjoint, output_tile_adjoint};
use super::{SKEW, Tiles};
use crate::backend::cpu::Buffer;
use crate::backend::cpu::gemm::tile::{NV, Reduction, nr, tile};
use crate::backend::cpu::gemm::{Affine, MAX_MR};
use crate::backend::cpu::parallel::{Shared, for_each};
use crate::backend::cpu::simd::{Isa, Simd, simd_fn};
use crate::backend::params::Conv2d;

/// Tiles of a round: V and dM of 256 channels each are 9 MiB. With fewer tiles dU would be read and written too often.
const ROUND: usize = 128;
/// Tiles transformed by one task.
const TILES: usize = 4;
/// Panels of V in one task of the products.
const PANELS: usize = 2;

/// dw [K,3,3,C] for x and dy.
pub fn weight_grad(isa: Isa, x: &[f32], dy: &[f32], g: &Conv2d, dw: &mut [f32]) {
    let tiles = Tiles::forward(g);
    let nr = NV * isa.lanes();
    let (v_panels, m_panels) = (g.c.div_ceil(nr), g.k.div_ceil(nr));
    let round = ROUND.min(tiles.count());
    let (v_plane, m_plane) = (v_panels * round * nr + SKEW, m_panels * round * nr + SKEW);
    let mut v = Buffer::<f32>::scratch(POINTS * v_plane);
    let mut m = Buffer::<f32>::scratch(POINTS * m_plane);
    let zeros = vec![0.0; g.c.max(g.k)];
    let (x, dy, zeros) = (x.as_ptr(), dy.as_ptr(), zeros.as_ptr());
    let (v, m, dw) = (Shared::new(&mut v), Shared::new(&mut m), Shared::new(dw));
    let round_at = |first: usize| {
        let count = (tiles.count() - first).min(round);
        let t = Round { tiles, k: g.k, x, dy, zeros, v, v_plane, m, m_plane, first, count };
        for_each(count.div_ceil(TILES), count * POINTS * (g.c + g.k), |task| {
            let begin = task * TILES;
            // SAFETY: each task writes its own tiles.
            unsafe { transform_tiles(isa, t, begin, (begin + TILES).min(count)) }
        });
        t
    };

    let blocks = m_panels * v_panels;
    if tiles.count() == round && (blocks > 1 || rayon::current_num_threads() == 1) {
        // One round: a task makes a block of dU, all points of it, and transforms it while it is in the cache. (If there
        // is but one block, the other way has work for more than one thread, and gives the same bits.)
        let t = round_at(0);
        for_each(blocks, tiles.count() * POINTS * g.c * g.k, |task| {
            let (k0, panel) = (task / v_panels * nr, task % v_panels);
            let mut block = Buffer::<f32>::scratch(POINTS * (nr * nr + SKEW));
            // SAFETY: each task writes its own filters and channels.
            unsafe { gradient_block(isa, t, k0, panel, block.as_mut_ptr(), dw.at(k0 * 9 * g.c + panel * nr)) }
        });
        return;
    }
    let columns = v_panels * nr;
    let mut du = Buffer::<f32>::scratch(POINTS * g.k * columns);
    let du = Shared::new(&mut du);
    for first in (0..tiles.count()).step_by(round) {
        let t = round_at(first);
        let groups = v_panels.div_ceil(PANELS);
        for_each(POINTS * groups, t.count * POINTS * g.c * g.k, |task| {
            let (f, panel) = (task / groups, task % groups * PANELS);
            for panel in panel..(panel + PANELS).min(v_panels) {
                // SAFETY: each task writes its own point and columns of dU.
                unsafe { multiply_panel(isa, t, f, panel, du.at(f * g.k * columns + panel * nr), columns) }
            }
        });
    }
    for_each(g.k, POINTS * g.c * g.k, |k| {
        // SAFETY: each task writes its own filter.
        unsafe { transform_row(isa, du.at(k * columns), g.k * columns, dw.at(k * 9 * g.c), g.c) }
    });
}

#[derive(Clone, Copy)]
struct Round {
    tiles: Tiles,
    k: usize,
    x: *const f32,
    dy: *const f32,
    zeros: *const f32,
    /// V [36][C / NR][count][NR] and dM [36][K / NR][count][NR], the 36 planes `v_plane` and `m_plane` apart.
    v: Shared<f32>,
    v_plane: usize,
    m: Shared<f32>,
    m_plane: usize,
    first: usize,
    count: usize,
}

// SAFETY: read-only views, and `Shared` ones that outlive the tasks.
unsafe impl Send for Round {}
unsafe impl Sync for Round {}

simd_fn! {
    unsafe fn transform_tiles<S>(t: Round, begin: usize, end: usize) {
        unsafe {
            for i in begin..end {
                transform_input::<S>(
                    t.tiles,
                    t.first + i,
                    t.x,
                    t.zeros,
                    #[inline(always)]
                    |c| t.v.at(in_panels::<S>(t.count, i, c)),
                    t.v_plane,
                );
                let (n, p, q) = t.tiles.origin(t.first + i);
                for k in (0..t.k).step_by(S::LANES) {
                    let lanes = (t.k - k).min(S::LANES);
                    output_tile_adjoint::<S>(
                        #[inline(always)]
                        |a, b| {
                            if p + a < t.tiles.p && q + b < t.tiles.q {
                                let pixel = (n * t.tiles.p + p + a) * t.tiles.q + q + b;
                                S::load_first(t.dy.add(pixel * t.k + k), lanes)
                            } else {
                                S::splat(0.0)
                            }
                        },
                        t.m.at(in_panels::<S>(t.count, i, k)),
                        t.m_plane,
                    );
                }
            }
        }
    }
}

/// Where column `c` of row `i` lies in panels [..][rows][NR].
#[inline(always)]
fn in_panels<S: Simd>(rows: usize, i: usize, c: usize) -> usize {
    (c / nr::<S>() * rows + i) * nr::<S>() + c % nr::<S>()
}

/// dU = dM^T V at point f, rows `k0 .. k1` (in one panel) and one panel of columns; dU += in later rounds.
#[inline(always)]
unsafe fn multiply<S: Simd>(t: Round, f: usize, k0: usize, k1: usize, panel: usize, du: *mut f32, columns: usize) {
    let beta = if t.first == 0 { 0.0 } else { 1.0 };
    unsafe {
        let a = t.m.at(f * t.m_plane + k0 * t.count).cast_const();
        let b = t.v.at(f * t.v_plane + panel * t.count * nr::<S>());
        for m0 in (0..k1 - k0).step_by(S::MR) {
            let rows = (k1 - k0 - m0).min(S::MR);
            let mut pointers = [a; MAX_MR];
            for (i, p) in pointers.iter_mut().enumerate() {
                *p = a.add(m0 + i.min(rows - 1));
            }
            let red =
                Reduction { a: pointers.as_ptr(), taps: 1, len: t.count, a_step: nr::<S>(), b, b_step: nr::<S>() };
            let sink = Affine { c: du.add(m0 * columns), ldc: columns, alpha: 1.0, beta };
            tile::<S>(rows, nr::<S>().min(t.tiles.c - panel * nr::<S>()), red, sink);
        }
    }
}

simd_fn! {
    /// dU at point f, all rows and one panel of columns.
    unsafe fn multiply_panel<S>(t: Round, f: usize, panel: usize, du: *mut f32, columns: usize) {
        for k0 in (0..t.k).step_by(nr::<S>()) {
            let k1 = (k0 + nr::<S>()).min(t.k);
            unsafe { multiply::<S>(t, f, k0, k1, panel, du.add(k0 * columns), columns) }
        }
    }
}

simd_fn! {
    /// dw = G^T dU G for the filters from `k0` on and one panel of columns; `dw` points at the first of them.
    unsafe fn gradient_block<S>(t: Round, k0: usize, panel: usize, du: *mut f32, dw: *mut f32) {
        let (nr, k1) = (nr::<S>(), (k0 + nr::<S>()).min(t.k));
        let plane = nr * nr + SKEW;
        unsafe {
            for f in 0..POINTS {
                multiply::<S>(t, f, k0, k1, panel, du.add(f * plane), nr);
            }
            for i in 0..k1 - k0 {
                let channels = (t.tiles.c - panel * nr).min(nr);
                transform_filter::<S>(du.add(i * nr), plane, channels, dw.add(i * 9 * t.tiles.c), t.tiles.c);
            }
        }
    }
}

simd_fn! {
    unsafe fn transform_row<S>(du: *const f32, plane: usize, dw: *mut f32, c: usize) {
        unsafe { transform_filter::<S>(du, plane, c, dw, c) }
    }
}

/// dw = G^T dU G for `channels` channels of one filter; its taps are `tap_step` apart.
#[inline(always)]
unsafe fn transform_filter<S: Simd>(du: *const f32, plane: usize, channels: usize, dw: *mut f32, tap_step: usize) {
    for c in (0..channels).step_by(S::LANES) {
        let lanes = (channels - c).min(S::LANES);
        unsafe {
            // Columns past the channels were never written; they are read, and not stored.
            filter_tile_adjoint::<S>(
                du.add(c),
                plane,
                #[inline(always)]
                |r, s, v| S::store_first(dw.add((r * 3 + s) * tap_step + c), lanes, v),
            );
        }
    }
}
