//! The gradient of the weights among the transformed numbers: with V = B^T X B and dM = A dY A^T of every tile,
//! dU = sum over tiles of dM^T V at each of the 36 points, and dg = G^T dU G.
//!
//! Tiles go through in rounds, small enough for V and dM of a round to stay in the third-level cache. In a round the
//! transforms are shared out by tiles, then the products by points and blocks of dU.

use super::steps::transform_input;
use super::transform::{POINTS, filter_tile_adjoint, output_tile_adjoint};
use super::{SKEW, Tiles};
use crate::backend::cpu::Buffer;
use crate::backend::cpu::gemm::tile::{NV, Reduction, nr, tile};
use crate::backend::cpu::gemm::{Affine, MAX_MR};
use crate::backend::cpu::parallel::{Shared, for_each};
use crate::backend::cpu::simd::{Isa, Simd, simd_fn};
use crate::backend::params::Conv2d;

/// V and dM of a round, in numbers of one point: 36 times that is 9 MiB.
const ROUND: usize = 1 << 16;
/// Tiles transformed by one task.
const TILES: usize = 8;
/// Panels of V in one task of the products.
const PANELS: usize = 4;

/// dw [K,3,3,C] for x and dy.
pub fn weight_grad(isa: Isa, x: &[f32], dy: &[f32], g: &Conv2d, dw: &mut [f32]) {
    let tiles = Tiles::forward(g);
    let nr = NV * isa.lanes();
    let (v_panels, m_panels) = (g.c.div_ceil(nr), g.k.div_ceil(nr));
    let round = (ROUND / ((v_panels + m_panels) * nr)).next_multiple_of(TILES).min(tiles.count());
    let (v_plane, m_plane) = (v_panels * round * nr + SKEW, m_panels * round * nr + SKEW);
    let mut v = Buffer::<f32>::scratch(POINTS * v_plane);
    let mut m = Buffer::<f32>::scratch(POINTS * m_plane);
    let mut du = Buffer::<f32>::scratch(POINTS * g.k * v_panels * nr);
    let zeros = vec![0.0; g.c.max(g.k)];
    let t = Round {
        tiles,
        k: g.k,
        x: x.as_ptr(),
        dy: dy.as_ptr(),
        zeros: zeros.as_ptr(),
        v: Shared::new(&mut v),
        v_plane,
        m: Shared::new(&mut m),
        m_plane,
        du: Shared::new(&mut du),
        columns: v_panels * nr,
        first: 0,
        count: 0,
    };
    for first in (0..tiles.count()).step_by(round) {
        let t = Round { first, count: (tiles.count() - first).min(round), ..t };
        for_each(t.count.div_ceil(TILES), t.count * POINTS * (g.c + g.k), |task| {
            let begin = task * TILES;
            // SAFETY: each task writes its own tiles.
            unsafe { transform_tiles(isa, t, begin, (begin + TILES).min(t.count)) }
        });
        let groups = v_panels.div_ceil(PANELS);
        for_each(POINTS * groups, t.count * POINTS * g.c * g.k, |task| {
            let (f, panel) = (task / groups, task % groups * PANELS);
            // SAFETY: each task writes its own point and columns of dU.
            unsafe { multiply(isa, t, f, panel, (panel + PANELS).min(v_panels)) }
        });
    }
    let out = Shared::new(dw);
    for_each(g.k, POINTS * g.c * g.k, |k| {
        // SAFETY: each task writes its own filter.
        unsafe { transform_back(isa, t, k, out.at(k * 9 * g.c)) }
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
    /// dU [36][K][columns], columns: C in whole panels.
    du: Shared<f32>,
    columns: usize,
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

simd_fn! {
    /// dU += dM^T V at point f, for panels `begin .. end` of V.
    unsafe fn multiply<S>(t: Round, f: usize, begin: usize, end: usize) {
        unsafe {
            for panel in begin..end {
                for k0 in (0..t.k).step_by(nr::<S>()) {
                    let a = t.m.at(f * t.m_plane + k0 * t.count).cast_const();
                    let rows = (t.k - k0).min(nr::<S>());
                    for m0 in (0..rows).step_by(S::MR) {
                        let mut pointers = [a; MAX_MR];
                        for (i, p) in pointers.iter_mut().enumerate() {
                            *p = a.add((m0 + i).min(rows - 1));
                        }
                        let red = Reduction {
                            a: pointers.as_ptr(),
                            taps: 1,
                            len: t.count,
                            a_step: nr::<S>(),
                            b: t.v.at(f * t.v_plane + panel * t.count * nr::<S>()),
                            b_step: nr::<S>(),
                        };
                        let c = t.du.at((f * t.k + k0 + m0) * t.columns + panel * nr::<S>());
                        let beta = if t.first == 0 { 0.0 } else { 1.0 };
                        let sink = Affine { c, ldc: t.columns, alpha: 1.0, beta };
                        tile::<S>((rows - m0).min(S::MR), nr::<S>().min(t.tiles.c - panel * nr::<S>()), red, sink);
                    }
                }
            }
        }
    }
}

simd_fn! {
    /// dw = G^T dU G for one filter.
    unsafe fn transform_back<S>(t: Round, k: usize, dw: *mut f32) {
        unsafe {
            for c in (0..t.tiles.c).step_by(S::LANES) {
                // Columns past C were never written; they are read, and not stored.
                let from = t.du.at(k * t.columns + c);
                let lanes = (t.tiles.c - c).min(S::LANES);
                filter_tile_adjoint::<S>(
                    from,
                    t.k * t.columns,
                    #[inline(always)]
                    |r, s, v| S::store_first(dw.add((r * 3 + s) * t.tiles.c + c), lanes, v),
                );
            }
        }
    }
}
