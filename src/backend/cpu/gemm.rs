//! Matrix products, f32.
//!
//! B is packed into panels NR columns wide, once. Then C is cut into chunks of rows times groups of panels, one task
//! each. Inside a task the panel is the outer loop: it comes from the second-level cache, and so do the task's rows of
//! A, which are read in place.

pub mod pack;
pub mod tile;
mod transposed;

use super::parallel::{Shared, for_each};
use super::simd::{Isa, Simd, isa, simd_fn};
use super::{Buffer, naive};
use crate::backend::params::Gemm;
use pack::{Source, pack_panel};
use tile::{Reduction, Sink, nr, tile};
pub use transposed::{Columns, Part, transposed};

/// Rows of C in one task.
const ROWS: usize = 64;
/// Multiply-adds that make a task worth its overhead.
const TASK: usize = 1 << 20;
/// Steps of the reduction after which sums go to memory and the next part begins: a panel of B then stays in the
/// second-level cache.
const DEPTH: usize = 2048;

/// C = alpha op(A) op(B) + beta C, for every matrix of the batch.
pub fn gemm(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    gemm_with(isa(), g, a, b, c);
}

/// [`gemm`] with a given instruction set.
pub fn gemm_with(isa: Isa, g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    if g.batch * g.m * g.n == 0 {
        return;
    }
    check(g, a.len(), b.len(), c.len());
    if g.k == 0 {
        naive::matmul(g, a, b, c);
    } else if g.trans_a {
        let out = Shared::new(c);
        for_each(g.batch, g.batch * g.m * g.n * g.k, |i| {
            let a = Source { p: a[i * g.stride_a..].as_ptr(), k: g.k, n: g.m, k_step: g.lda, n_step: 1 };
            let b = Columns::Matrix(source_b(g, &b[i * g.stride_b..]));
            // SAFETY: the sizes were checked, and each task has its own C.
            unsafe {
                let c = out.slice(i * g.stride_c, (g.m - 1) * g.ldc + g.n);
                transposed(isa, a, b, c, g.ldc, g.alpha as f32, g.beta as f32);
            }
        });
    } else {
        rows(isa, g, a, b, c);
    }
}

fn source_b(g: &Gemm, b: &[f32]) -> Source {
    let (k_step, n_step) = if g.trans_b { (1, g.ldb) } else { (g.ldb, 1) };
    Source { p: b.as_ptr(), k: g.k, n: g.n, k_step, n_step }
}

/// Panics where a matrix would reach past its slice.
fn check(g: &Gemm, a: usize, b: usize, c: usize) {
    let end = |stride: usize, rows: usize, cols: usize, ld: usize| match rows * cols {
        0 => 0,
        _ => (g.batch - 1) * stride + (rows - 1) * ld + cols,
    };
    let (ra, ca) = if g.trans_a { (g.k, g.m) } else { (g.m, g.k) };
    let (rb, cb) = if g.trans_b { (g.n, g.k) } else { (g.k, g.n) };
    assert!(end(g.stride_a, ra, ca, g.lda) <= a, "A has {a} numbers, too few for {g:?}");
    assert!(end(g.stride_b, rb, cb, g.ldb) <= b, "B has {b} numbers, too few for {g:?}");
    assert!(end(g.stride_c, g.m, g.n, g.ldc) <= c, "C has {c} numbers, too few for {g:?}");
    assert!(g.ldc >= g.n && (g.batch == 1 || g.stride_c >= (g.m - 1) * g.ldc + g.n), "C overlaps itself: {g:?}");
}

/// A as it is: its rows are contiguous.
fn rows(isa: Isa, g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    let nr = tile::NV * isa.lanes();
    let panels = g.n.div_ceil(nr);
    let panel_len = g.k * nr;
    let pack = |i: usize, panel: usize, to: *mut f32| {
        let columns = (g.n - panel * nr).min(nr);
        let src = source_b(g, &b[i * g.stride_b..]).block(0, g.k, panel * nr, columns);
        // SAFETY: `check` made sure of B, and there is room for the panel.
        unsafe { pack_panel(isa, src, to) }
    };
    // Panels that are used by one task only are packed there, and are still in its cache when it multiplies.
    let chunks = g.m.div_ceil(ROWS);
    let matrices = if g.stride_b == 0 { 1 } else { g.batch };
    let once = chunks == 1 && matrices == g.batch;
    let mut packed = Buffer::<f32>::scratch(if once { 0 } else { matrices * panels * panel_len });
    if !once {
        let to = Shared::new(&mut packed);
        for_each(matrices * panels, matrices * g.k * g.n, |task| {
            pack(task / panels, task % panels, to.at(task * panel_len));
        });
    }

    let group = TASK.div_ceil(g.m.min(ROWS) * panel_len).min(panels);
    let groups = panels.div_ceil(group);
    let out = Shared::new(c);
    for_each(g.batch * chunks * groups, g.batch * g.m * g.n * g.k, |task| {
        let (i, chunk, first) = (task / (chunks * groups), task / groups % chunks, task % groups * group);
        let (m0, n0) = (chunk * ROWS, first * nr);
        let last = (first + group).min(panels);
        let mut own = Buffer::<f32>::scratch(if once { (last - first) * panel_len } else { 0 });
        for (panel, to) in (first..last).zip(own.chunks_exact_mut(panel_len)) {
            pack(i, panel, to.as_mut_ptr());
        }
        let shared = if g.stride_b == 0 { first } else { i * panels + first } * panel_len;
        let block = Block {
            m: (g.m - m0).min(ROWS),
            n: (g.n - n0).min(group * nr),
            k: g.k,
            a: a[i * g.stride_a + m0 * g.lda..].as_ptr(),
            lda: g.lda,
            b: if once { own.as_ptr() } else { packed[shared..].as_ptr() },
            c: out.at(i * g.stride_c + m0 * g.ldc + n0),
            ldc: g.ldc,
            alpha: g.alpha as f32,
            beta: g.beta as f32,
        };
        // SAFETY: `check` made sure of the bounds; each task writes its own part of C.
        unsafe { block_product(isa, block) }
    });
}

/// A task: rows of A times consecutive packed panels of B.
#[derive(Clone, Copy)]
struct Block {
    m: usize,
    n: usize,
    k: usize,
    a: *const f32,
    lda: usize,
    b: *const f32,
    c: *mut f32,
    ldc: usize,
    alpha: f32,
    beta: f32,
}

simd_fn! {
    unsafe fn block_product<S>(t: Block) {
        unsafe {
            for k0 in (0..t.k).step_by(DEPTH) {
                let len = (t.k - k0).min(DEPTH);
                let beta = if k0 == 0 { t.beta } else { 1.0 };
                for n0 in (0..t.n).step_by(nr::<S>()) {
                    for m0 in (0..t.m).step_by(S::MR) {
                        let rows = (t.m - m0).min(S::MR);
                        let mut a = [t.a; MAX_MR];
                        for (i, a) in a.iter_mut().enumerate() {
                            *a = t.a.add((m0 + i.min(rows - 1)) * t.lda + k0);
                        }
                        let b = t.b.add((n0 * t.k) + k0 * nr::<S>());
                        let red = Reduction { a: a.as_ptr(), taps: 1, len, a_step: 1, b, b_step: nr::<S>() };
                        let sink = Affine { c: t.c.add(m0 * t.ldc + n0), ldc: t.ldc, alpha: t.alpha, beta };
                        tile::<S>(rows, (t.n - n0).min(nr::<S>()), red, sink);
                    }
                }
            }
        }
    }
}

/// The highest tile of all instruction sets.
pub const MAX_MR: usize = 8;

/// C = alpha * sums + beta * C.
#[derive(Clone, Copy)]
pub struct Affine {
    pub c: *mut f32,
    pub ldc: usize,
    pub alpha: f32,
    pub beta: f32,
}

impl<S: Simd> Sink<S> for Affine {
    #[inline(always)]
    unsafe fn put(self, i: usize, j: usize, lanes: usize, v: S::V) {
        unsafe {
            let p = self.c.add(i * self.ldc + j);
            let mut v = S::mul(v, S::splat(self.alpha));
            if lanes == S::LANES {
                if self.beta != 0.0 {
                    v = S::fma(S::load(p), S::splat(self.beta), v);
                }
                S::store(p, v);
            } else {
                if self.beta != 0.0 {
                    v = S::fma(S::load_first(p, lanes), S::splat(self.beta), v);
                }
                S::store_first(p, lanes, v);
            }
        }
    }
}

#[cfg(test)]
mod tests;
