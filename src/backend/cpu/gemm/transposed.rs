//! C = A^T B: the reduction runs over the rows of both, which are many (pixels) while C is small (weights).
//!
//! C alone would give too few tasks, so the reduction is cut as well, into slices of a size that depends on the shape
//! only. Each (slice, block of C) is a task with its own partial sums; those are added in the order of the slices.

use super::pack::{Source, pack_narrow_panel, pack_panel};
use super::tile::{NV, Reduction, nr, tile};
use super::{Affine, MAX_MR};
use crate::backend::cpu::Buffer;
use crate::backend::cpu::parallel::{Shared, for_each};
use crate::backend::cpu::simd::{Isa, simd_fn};

/// Rows (of A^T) and columns of a block of C, and steps of the reduction packed at a time: the packed parts and the
/// block's sums, 128 + 256 + 128 KiB, lie in the second-level cache.
const ROWS: usize = 128;
const COLS: usize = 256;
const DEPTH: usize = 256;
/// Tasks to cut a product into, if it is large enough.
const TASKS: usize = 64;
/// Numbers of all slices' partial sums together, at most.
const PARTIAL: usize = 4 << 20;

/// Where B's columns come from.
#[derive(Clone, Copy)]
pub enum Columns<'a> {
    Matrix(Source),
    /// Packs rows `k0 .. k0 + k` and columns `n0 .. n0 + n` into panels `dst` [n / NR][k][NR].
    Packed {
        n: usize,
        pack: &'a (dyn Fn(Part, *mut f32) + Sync),
    },
}

#[derive(Clone, Copy)]
pub struct Part {
    pub k0: usize,
    pub k: usize,
    pub n0: usize,
    pub n: usize,
}

/// C [M,N] = alpha A^T B + beta C with A [K,M] and B [K,N].
///
/// # Safety
/// The sources are readable and `c` holds M rows of N numbers, `ldc` >= N apart.
pub unsafe fn transposed(isa: Isa, a: Source, b: Columns, c: &mut [f32], ldc: usize, alpha: f32, beta: f32) {
    let (m, k) = (a.n, a.k);
    let n = match b {
        Columns::Matrix(b) => b.n,
        Columns::Packed { n, .. } => n,
    };
    let (row_blocks, col_blocks) = (m.div_ceil(ROWS), n.div_ceil(COLS));
    let blocks = row_blocks * col_blocks;
    let slices = TASKS.div_ceil(blocks).min(k.div_ceil(2 * DEPTH)).min((PARTIAL / (m * n)).max(1));
    let depth = k.div_ceil(slices).next_multiple_of(DEPTH);
    let slices = k.div_ceil(depth);

    let mut partial = Buffer::<f32>::scratch(if slices > 1 { slices * m * n } else { 0 });
    let (direct, sums) = (Shared::new(c), Shared::new(&mut partial));
    for_each(slices * blocks, m * n * k, |task| {
        let (slice, block) = (task / blocks, task % blocks);
        let (m0, n0) = (block % row_blocks * ROWS, block / row_blocks * COLS);
        let part = Part { k0: slice * depth, k: (k - slice * depth).min(depth), n0, n: (n - n0).min(COLS) };
        let rows = (m - m0).min(ROWS);
        let out = if slices == 1 {
            Affine { c: direct.at(m0 * ldc + n0), ldc, alpha, beta }
        } else {
            Affine { c: sums.at(slice * m * n + m0 * n + n0), ldc: n, alpha: 1.0, beta: 0.0 }
        };
        // SAFETY: each task writes its own block; the caller vouches for the sources.
        unsafe { block_product(isa, a.block(0, k, m0, rows), b, part, out) };
    });
    if slices > 1 {
        for_each(m, slices * m * n, |row| {
            // SAFETY: each task writes its own row.
            let c = unsafe { direct.slice(row * ldc, n) };
            for slice in 0..slices {
                let from = &partial[slice * m * n + row * n..][..n];
                let beta = if slice == 0 { beta } else { 1.0 };
                add_row(isa, alpha, from, beta, c);
            }
        });
    }
}

simd_fn! {
    /// c = alpha x + beta c; beta 0 does not read c.
    fn add_row<S>(alpha: f32, x: &[f32], beta: f32, c: &mut [f32]) {
        if beta == 0.0 {
            c.iter_mut().zip(x).for_each(|(c, x)| *c = alpha * x);
        } else {
            c.iter_mut().zip(x).for_each(|(c, x)| *c = S::mul_add(beta, *c, alpha * x));
        }
    }
}

/// One block of C over one slice of the reduction.
unsafe fn block_product(isa: Isa, a: Source, b: Columns, part: Part, out: Affine) {
    let (mr, nr) = (isa.mr(), NV * isa.lanes());
    let depth = part.k.min(DEPTH);
    let mut a_packed = Buffer::<f32>::scratch(a.n.next_multiple_of(mr) * depth);
    let mut b_packed = Buffer::<f32>::scratch(part.n.next_multiple_of(nr) * depth);
    for k0 in (0..part.k).step_by(DEPTH) {
        let k = (part.k - k0).min(DEPTH);
        let part = Part { k0: part.k0 + k0, k, ..part };
        // SAFETY: the buffers hold the panels; the caller vouches for the sources.
        unsafe {
            for m0 in (0..a.n).step_by(mr) {
                let src = a.block(part.k0, k, m0, (a.n - m0).min(mr));
                pack_narrow_panel(isa, src, a_packed[m0 * k..].as_mut_ptr());
            }
            match b {
                Columns::Matrix(b) => {
                    for n0 in (0..part.n).step_by(nr) {
                        let src = b.block(part.k0, k, part.n0 + n0, (part.n - n0).min(nr));
                        pack_panel(isa, src, b_packed[n0 * k..].as_mut_ptr());
                    }
                }
                Columns::Packed { pack, .. } => pack(part, b_packed.as_mut_ptr()),
            }
            let out = if k0 == 0 { out } else { Affine { beta: 1.0, ..out } };
            panels_product(isa, a.n, part.n, k, a_packed.as_ptr(), b_packed.as_ptr(), out);
        }
    }
}

simd_fn! {
    /// C = A^T B for packed A [m / MR][k][MR] and B [n / NR][k][NR].
    pub unsafe fn panels_product<S>(m: usize, n: usize, k: usize, a: *const f32, b: *const f32, out: Affine) {
        unsafe {
            for n0 in (0..n).step_by(nr::<S>()) {
                for m0 in (0..m).step_by(S::MR) {
                    let mut rows = [a; MAX_MR];
                    for (i, row) in rows.iter_mut().enumerate().take(S::MR) {
                        *row = a.add(m0 * k + i);
                    }
                    let b = b.add(n0 * k);
                    let red = Reduction { a: rows.as_ptr(), taps: 1, len: k, a_step: S::MR, b, b_step: nr::<S>() };
                    let sink = Affine { c: out.c.add(m0 * out.ldc + n0), ..out };
                    tile::<S>((m - m0).min(S::MR), (n - n0).min(nr::<S>()), red, sink);
                }
            }
        }
    }
}
