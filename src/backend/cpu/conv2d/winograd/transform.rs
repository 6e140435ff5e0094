//! The transforms of Winograd's F(4x4, 3x3): four outputs a row of a three-tap filter from six products.
//!
//! A row of six inputs x, a filter g and the four outputs are polynomials; their product is found from its values at
//! six points, here 0, +a, -a, +b, -b and infinity (Toom-Cook):
//!
//! y = A^T [(G g) . (B^T x)], in two dimensions Y = A^T [(G g G^T) . (B^T X B)] A.
//!
//! Row i of G is [1, p, p^2] / prod over l != i of (p_i - p_l), row i of B^T holds the coefficients of the product of
//! (x - p_l) over l != i, and A^T[j][i] = p_i^j. The points a = 5/8 and b = 3/2 were found by trial: they leave half
//! the rounding error of the usual 1 and 2, not much more than direct summation in f32, and B and A are exact.

use crate::backend::cpu::simd::Simd;

const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;

/// Products of one tile in two dimensions.
pub const POINTS: usize = 36;

/// B^T x.
///
/// # Safety
/// In a body of `simd_fn!`; so for all functions of this file.
#[inline(always)]
unsafe fn input<S: Simd>(x: [S::V; 6]) -> [S::V; 6] {
    unsafe {
        let even_a = S::fma(x[2], S::splat(-B2), x[4]);
        let odd_a = S::fma(x[1], S::splat(-B2), x[3]);
        let even_b = S::fma(x[2], S::splat(-A2), x[4]);
        let odd_b = S::fma(x[1], S::splat(-A2), x[3]);
        [
            S::fma(x[0], S::splat(A2 * B2), S::fma(x[2], S::splat(-A2 - B2), x[4])),
            S::fma(odd_a, S::splat(A), even_a),
            S::fma(odd_a, S::splat(-A), even_a),
            S::fma(odd_b, S::splat(B), even_b),
            S::fma(odd_b, S::splat(-B), even_b),
            S::fma(x[1], S::splat(A2 * B2), S::fma(x[3], S::splat(-A2 - B2), x[5])),
        ]
    }
}

/// 1 / prod (p_i - p_l) for the points 0, a and b.
const N0: f32 = 1.0 / (A2 * B2);
const NA: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
const NB: f32 = 1.0 / (2.0 * B2 * (B2 - A2));

/// G g.
#[inline(always)]
unsafe fn filter<S: Simd>(g: [S::V; 3]) -> [S::V; 6] {
    unsafe {
        let even_a = S::fma(g[2], S::splat(NA * A2), S::mul(g[0], S::splat(NA)));
        let even_b = S::fma(g[2], S::splat(NB * B2), S::mul(g[0], S::splat(NB)));
        [
            S::mul(g[0], S::splat(N0)),
            S::fma(g[1], S::splat(NA * A), even_a),
            S::fma(g[1], S::splat(-NA * A), even_a),
            S::fma(g[1], S::splat(NB * B), even_b),
            S::fma(g[1], S::splat(-NB * B), even_b),
            g[2],
        ]
    }
}

/// G^T u, the adjoint of [`filter`].
#[inline(always)]
unsafe fn filter_adjoint<S: Simd>(u: [S::V; 6]) -> [S::V; 3] {
    unsafe {
        let (sum_a, sum_b) = (S::add(u[1], u[2]), S::add(u[3], u[4]));
        let (difference_a, difference_b) = (S::sub(u[1], u[2]), S::sub(u[3], u[4]));
        let g0 = S::fma(sum_a, S::splat(NA), S::mul(sum_b, S::splat(NB)));
        let g2 = S::fma(sum_a, S::splat(NA * A2), S::fma(sum_b, S::splat(NB * B2), u[5]));
        [
            S::fma(u[0], S::splat(N0), g0),
            S::fma(difference_a, S::splat(NA * A), S::mul(difference_b, S::splat(NB * B))),
            g2,
        ]
    }
}

/// A^T m.
#[inline(always)]
unsafe fn output<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    unsafe {
        let (sum_a, sum_b) = (S::add(m[1], m[2]), S::add(m[3], m[4]));
        let (difference_a, difference_b) = (S::sub(m[1], m[2]), S::sub(m[3], m[4]));
        [
            S::add(m[0], S::add(sum_a, sum_b)),
            S::fma(difference_a, S::splat(A), S::mul(difference_b, S::splat(B))),
            S::fma(sum_a, S::splat(A2), S::mul(sum_b, S::splat(B2))),
            S::fma(difference_a, S::splat(A * A2), S::fma(difference_b, S::splat(B * B2), m[5])),
        ]
    }
}

/// A y, the adjoint of [`output`].
#[inline(always)]
unsafe fn output_adjoint<S: Simd>(y: [S::V; 4]) -> [S::V; 6] {
    unsafe {
        let even_a = S::fma(y[2], S::splat(A2), y[0]);
        let odd_a = S::fma(y[3], S::splat(A2), y[1]);
        let even_b = S::fma(y[2], S::splat(B2), y[0]);
        let odd_b = S::fma(y[3], S::splat(B2), y[1]);
        [
            y[0],
            S::fma(odd_a, S::splat(A), even_a),
            S::fma(odd_a, S::splat(-A), even_a),
            S::fma(odd_b, S::splat(B), even_b),
            S::fma(odd_b, S::splat(-B), even_b),
            y[3],
        ]
    }
}

/// Defines the two-dimensional form of a transform: along the columns, then along the rows. `load(i, j)` gives the
/// number in row i and column j, `store(i, j, v)` takes the results. On the side of the 36 points, those are vectors at
/// a pointer, `plane` numbers apart.
macro_rules! two_dimensional {
    ($name:ident, $transform:ident, $from:literal, $to:literal) => {
        #[inline(always)]
        unsafe fn $name<S: Simd>(load: impl Fn(usize, usize) -> S::V, mut store: impl FnMut(usize, usize, S::V)) {
            unsafe {
                let mut columns = [[S::splat(0.0); $from]; $to];
                for j in 0..$from {
                    let mut column = [S::splat(0.0); $from];
                    for (i, x) in column.iter_mut().enumerate() {
                        *x = load(i, j);
                    }
                    for (row, x) in columns.iter_mut().zip($transform::<S>(column)) {
                        row[j] = x;
                    }
                }
                for (i, row) in columns.into_iter().enumerate() {
                    for (j, x) in $transform::<S>(row).into_iter().enumerate() {
                        store(i, j, x);
                    }
                }
            }
        }
    };
    ($(#[$meta:meta])* $name:ident to points, $transform:ident, $from:literal) => {
        $(#[$meta])*
        ///
        /// # Safety
        /// In a body of `simd_fn!`, with room for the points.
        #[inline(always)]
        pub unsafe fn $name<S: Simd>(load: impl Fn(usize, usize) -> S::V, to: *mut f32, plane: usize) {
            two_dimensional!(transform, $transform, $from, 6);
            unsafe {
                transform::<S>(
                    load,
                    #[inline(always)]
                    |i, j, v| S::store(to.add((i * 6 + j) * plane), v),
                )
            }
        }
    };
    ($(#[$meta:meta])* $name:ident from points, $transform:ident, $to:literal) => {
        $(#[$meta])*
        ///
        /// # Safety
        /// In a body of `simd_fn!`, with the points there.
        #[inline(always)]
        pub unsafe fn $name<S: Simd>(from: *const f32, plane: usize, store: impl FnMut(usize, usize, S::V)) {
            two_dimensional!(transform, $transform, 6, $to);
            unsafe {
                transform::<S>(
                    #[inline(always)]
                    |i, j| S::load(from.add((i * 6 + j) * plane)),
                    store,
                )
            }
        }
    };
}

two_dimensional!(
    /// B^T X B of a tile of 6 x 6 inputs.
    input_tile to points, input, 6
);
two_dimensional!(
    /// G g G^T of a filter.
    filter_tile to points, filter, 3
);
two_dimensional!(
    /// A^T M A: the 4 x 4 outputs.
    output_tile from points, output, 4
);
two_dimensional!(
    /// A Y A^T, the adjoint of [`output_tile`].
    output_tile_adjoint to points, output_adjoint, 4
);
two_dimensional!(
    /// G^T U G, the adjoint of [`filter_tile`].
    filter_tile_adjoint from points, filter_adjoint, 3
);
