//! Group norm with a scale and shift for each channel (of each sample, if wanted) and SiLU in one pass:
//! see `ops/group_norm.rs` for the formulas.

use super::lanes::{LANES, for_lanes, load, store};
use super::silu::{silu, silu_derivative};
use super::simd::vectorize;
use super::{Buffer, Float, Storage, by_float};
use crate::backend::params::GroupNorm;
use rayon::prelude::*;

/// Rows (positions) of a sample that one task reduces; their sums are combined in f64. Fixed, so that results do not
/// depend on the number of threads.
const ROWS: usize = 128;

/// y, and [N, G, 2]: mean and 1/standard deviation of each group.
pub fn forward(x: &Storage, scale: &Storage, shift: &Storage, p: &GroupNorm) -> (Storage, Storage) {
    by_float!(x.dtype(), T => {
        let x = T::slice(x);
        let stats = statistics::<T>(x, p);
        let affine = Affine::new(T::slice(scale), T::slice(shift), p);
        let mut y = Buffer::scratch(x.len());
        for_rows(&mut y, p, |n, at, y| {
            let (a, b) = affine.coefficients(n, &stats);
            let x = &x[at..][..y.len()];
            vectorize(
                #[inline(always)]
                || {
                    for_lanes(
                        p.c,
                        #[inline(always)]
                        |first, count| {
                            let (a, b) = (load(&a, first, count), load(&b, first, count));
                            for (y, x) in y.chunks_exact_mut(p.c).zip(x.chunks_exact(p.c)) {
                                let mut v = load(x, first, count);
                                for l in 0..LANES {
                                    let u = a[l] * v[l] + b[l];
                                    v[l] = if p.silu { silu(u) } else { u };
                                }
                                store(y, first, count, &v);
                            }
                        },
                    )
                },
            )
        });
        (T::store(y), T::store(stats))
    })
}

/// dx [N, HW, C], dscale [N, C], dshift [N, C].
pub fn backward(
    x: &Storage,
    scale: &Storage,
    shift: &Storage,
    stats: &Storage,
    dy: &Storage,
    p: &GroupNorm,
) -> (Storage, Storage, Storage) {
    by_float!(x.dtype(), T => {
        let (x, dy, stats) = (T::slice(x), T::slice(dy), T::slice(stats));
        let affine = Affine::new(T::slice(scale), T::slice(shift), p);
        let chunks = p.hw.div_ceil(ROWS);

        // First pass: du = dy * silu'(u), u = scale xhat + shift, and its sums over positions, alone and times x - mean.
        let mut du = Buffer::<T>::scratch(x.len());
        let mut partial = Buffer::<T>::scratch(p.n * chunks * 2 * p.c);
        let tasks: Vec<_> = rows_of(&mut du, p).into_iter().zip(partial.chunks_mut(2 * p.c)).collect();
        tasks.into_par_iter().for_each(|((n, at, du), sums)| {
            let (a, b) = affine.coefficients(n, stats);
            let mean = per_channel(p, |g| stats[(n * p.groups + g) * 2]);
            let (sum, sum_x) = sums.split_at_mut(p.c);
            let (x, dy) = (&x[at..][..du.len()], &dy[at..][..du.len()]);
            vectorize(
                #[inline(always)]
                || {
                    for_lanes(
                        p.c,
                        #[inline(always)]
                        |first, count| {
                            let (a, b, mean) = (load(&a, first, count), load(&b, first, count), load(&mean, first, count));
                            let (mut s, mut sx) = ([T::ZERO; LANES], [T::ZERO; LANES]);
                            let rows = du.chunks_exact_mut(p.c).zip(x.chunks_exact(p.c)).zip(dy.chunks_exact(p.c));
                            for ((du, x), dy) in rows {
                                let (x, mut g) = (load(x, first, count), load(dy, first, count));
                                for l in 0..LANES {
                                    g[l] = if p.silu { g[l] * silu_derivative(a[l] * x[l] + b[l]) } else { g[l] };
                                    s[l] += g[l];
                                    sx[l] += g[l] * (x[l] - mean[l]);
                                }
                                store(du, first, count, &g);
                            }
                            store(sum, first, count, &s);
                            store(sum_x, first, count, &sx);
                        },
                    )
                },
            )
        });
        let mut dshift = Buffer::<T>::scratch(p.n * p.c);
        let mut dscale = Buffer::<T>::scratch(p.n * p.c);
        for n in 0..p.n {
            let parts = &partial[n * chunks * 2 * p.c..][..chunks * 2 * p.c];
            let total = |i: usize| parts.iter().skip(i).step_by(2 * p.c).map(|v| v.f64()).sum::<f64>();
            for c in 0..p.c {
                let rstd = stats[(n * p.groups + c / p.group_size()) * 2 + 1];
                dshift[n * p.c + c] = T::of(total(c));
                dscale[n * p.c + c] = T::of(total(p.c + c) * rstd.f64());
            }
        }

        // Second pass, in place: dx = rstd (scale du - mean_g(scale du) - xhat mean_g(scale du xhat)).
        for_rows(&mut du, p, |n, at, dx| {
            let count = (p.hw * p.group_size()) as f64;
            let group_mean = |d: &[T], g: usize| {
                let channels = g * p.group_size()..(g + 1) * p.group_size();
                channels.map(|c| affine.scale(n, c).f64() * d[n * p.c + c].f64()).sum::<f64>() / count
            };
            let rstd = per_channel(p, |g| stats[(n * p.groups + g) * 2 + 1]);
            let mean = per_channel(p, |g| stats[(n * p.groups + g) * 2]);
            let m1 = per_channel(p, |g| T::of(group_mean(&dshift, g)));
            let m2 = per_channel(p, |g| T::of(group_mean(&dscale, g)));
            // dx = k0 du + k1 (x - mean) - k2 for each channel.
            let k0: Vec<T> = (0..p.c).map(|c| rstd[c] * affine.scale(n, c)).collect();
            let k1: Vec<T> = (0..p.c).map(|c| -rstd[c] * rstd[c] * m2[c]).collect();
            let k2: Vec<T> = (0..p.c).map(|c| rstd[c] * m1[c]).collect();
            let x = &x[at..][..dx.len()];
            vectorize(
                #[inline(always)]
                || {
                    for_lanes(
                        p.c,
                        #[inline(always)]
                        |first, count| {
                            let [k0, k1, k2, mean] = [&k0, &k1, &k2, &mean].map(|k| load(k, first, count));
                            for (dx, x) in dx.chunks_exact_mut(p.c).zip(x.chunks_exact(p.c)) {
                                let (mut d, x) = (load(dx, first, count), load(x, first, count));
                                for l in 0..LANES {
                                    d[l] = k0[l] * d[l] + k1[l] * (x[l] - mean[l]) - k2[l];
                                }
                                store(dx, first, count, &d);
                            }
                        },
                    )
                },
            )
        });
        (T::store(du), T::store(dscale), T::store(dshift))
    })
}

/// Mean and 1/sqrt(variance + eps) of each group: sums over blocks of rows around the block's own mean, combined in
/// f64 (Chan, Golub and LeVeque's parallel variance), so that a large mean costs no digits.
fn statistics<T: Float>(x: &[T], p: &GroupNorm) -> Buffer<T> {
    let chunks = p.hw.div_ceil(ROWS);
    let mut partial = Buffer::<T>::scratch(p.n * chunks * 2 * p.c);
    partial.par_chunks_mut(2 * p.c).enumerate().for_each(|(i, sums)| {
        let (n, first) = (i / chunks, i % chunks * ROWS);
        let rows = ROWS.min(p.hw - first);
        let x = &x[(n * p.hw + first) * p.c..][..rows * p.c];
        let (mean, m2) = sums.split_at_mut(p.c);
        vectorize(
            #[inline(always)]
            || {
                let inverse = T::ONE / T::of(rows as f64);
                for_lanes(
                    p.c,
                    #[inline(always)]
                    |first, count| {
                        let (mut m, mut squares) = ([T::ZERO; LANES], [T::ZERO; LANES]);
                        for x in x.chunks_exact(p.c) {
                            let x = load(x, first, count);
                            for l in 0..LANES {
                                m[l] += x[l];
                            }
                        }
                        m = m.map(|m| m * inverse);
                        for x in x.chunks_exact(p.c) {
                            let x = load(x, first, count);
                            for l in 0..LANES {
                                squares[l] += (x[l] - m[l]) * (x[l] - m[l]);
                            }
                        }
                        store(mean, first, count, &m);
                        store(m2, first, count, &squares);
                    },
                )
            },
        )
    });
    let mut stats = Buffer::<T>::scratch(p.n * p.groups * 2);
    for (i, stat) in stats.chunks_exact_mut(2).enumerate() {
        let (n, g) = (i / p.groups, i % p.groups);
        // (rows, mean, sum of squares about it) of every channel of the group in every block of rows.
        let parts = || {
            (0..chunks).flat_map(|chunk| {
                let rows = ROWS.min(p.hw - chunk * ROWS) as f64;
                let part = &partial[(n * chunks + chunk) * 2 * p.c..][..2 * p.c];
                (g * p.group_size()..(g + 1) * p.group_size()).map(move |c| (rows, part[c].f64(), part[p.c + c].f64()))
            })
        };
        let count = (p.hw * p.group_size()) as f64;
        let mean = parts().map(|(rows, mean, _)| rows * mean).sum::<f64>() / count;
        let m2: f64 = parts().map(|(rows, m, m2)| m2 + rows * (m - mean) * (m - mean)).sum();
        stat[0] = T::of(mean);
        stat[1] = T::of(1.0 / (m2 / count + p.eps).sqrt());
    }
    stats
}

/// Scale and shift, [C] or [N, C].
struct Affine<'a, T> {
    scale: &'a [T],
    shift: &'a [T],
    p: &'a GroupNorm,
}

impl<'a, T: Float> Affine<'a, T> {
    fn new(scale: &'a [T], shift: &'a [T], p: &'a GroupNorm) -> Self {
        Affine { scale, shift, p }
    }

    fn index(&self, n: usize, c: usize) -> usize {
        if self.p.per_sample { n * self.p.c + c } else { c }
    }

    fn scale(&self, n: usize, c: usize) -> T {
        self.scale[self.index(n, c)]
    }

    /// (a, b) with scale (x - mean) rstd + shift = a x + b for each channel of sample n.
    fn coefficients(&self, n: usize, stats: &[T]) -> (Vec<T>, Vec<T>) {
        let p = self.p;
        let stat = |c: usize| &stats[(n * p.groups + c / p.group_size()) * 2..][..2];
        let a: Vec<T> = (0..p.c).map(|c| self.scale(n, c) * stat(c)[1]).collect();
        let b = (0..p.c).map(|c| self.shift[self.index(n, c)] - stat(c)[0] * a[c]).collect();
        (a, b)
    }
}

fn per_channel<T>(p: &GroupNorm, of_group: impl Fn(usize) -> T) -> Vec<T> {
    (0..p.c).map(|c| of_group(c / p.group_size())).collect()
}

/// The pieces of at most ROWS rows of every sample: (sample, offset, piece).
fn rows_of<'a, T>(data: &'a mut [T], p: &GroupNorm) -> Vec<(usize, usize, &'a mut [T])> {
    let sample = p.hw * p.c;
    let pieces = data.chunks_mut(sample).enumerate();
    pieces
        .flat_map(|(n, data)| {
            let pieces = data.chunks_mut(ROWS * p.c).enumerate();
            pieces.map(move |(i, piece)| (n, n * sample + i * ROWS * p.c, piece))
        })
        .collect()
}

fn for_rows<T: Float>(data: &mut [T], p: &GroupNorm, f: impl Fn(usize, usize, &mut [T]) + Sync) {
    rows_of(data, p).into_par_iter().for_each(|(n, at, piece)| f(n, at, piece));
}
