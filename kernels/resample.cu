// Up- and downsampling of x [N, H, W, C] to y [N, P, Q, C] by a separable filter f:
//   y[p, q] = sum over r, s of f[r] f[s] grid[p down + r - top, q down + s - left],
// where grid[i up, j up] = x[i, j], and 0 elsewhere. The transpose of one resampling is another.
//
// v1: one thread an output, all taps looked at.
// v2: a thread computes 16 bytes of channels, if C has whole packs of them; visits only taps that meet an input, which
//     are unrolled so that their loads are under way together. For the factors and filters that networks have.
#include "map.cuh"

KERNEL(MAP_THREADS) resample_v1(T* y, const T* x, Resample g, Taps f) {
  const size_t at = size_t(blockIdx.x) * MAP_THREADS + threadIdx.x;
  if (at >= g.n * g.p * g.q * g.c) return;
  const size_t c = at % g.c, q = at / g.c % g.q, p = at / (g.c * g.q) % g.p, n = at / (g.c * g.q * g.p);
  const long long up = g.up, h = g.h, w = g.w;
  float sum = 0.0f;
  for (size_t r = 0; r < f.count; ++r) {
    const long long i = static_cast<long long>(p * g.down + r) - g.pad_top;
    if (i < 0 || i % up != 0 || i / up >= h) continue;
    for (size_t s = 0; s < f.count; ++s) {
      const long long j = static_cast<long long>(q * g.down + s) - g.pad_left;
      if (j < 0 || j % up != 0 || j / up >= w) continue;
      sum += f.at[r] * f.at[s] * to_float(x[((n * h + i / up) * w + j / up) * g.c + c]);
    }
  }
  y[at] = from_float<T>(sum);
}

// The inputs that one output position adds up along an axis: `first` and those after it, each times its weight, which
// is 0 outside of the image.
template <int TERMS>
struct Terms {
  int first;
  float weight[TERMS];
};

template <int TAPS, int UP, int DOWN>
__device__ __forceinline__ Terms<TAPS / UP> terms(int out, int pad, int size, const Taps& f) {
  const int point = out * DOWN - pad;  // of the grid, under tap 0
  const int skip = UP == 1 ? 0 : point & 1;
  Terms<TAPS / UP> terms;
  terms.first = (point + skip) >> (UP - 1);
#pragma unroll
  for (int i = 0; i < TAPS / UP; ++i) {
    const float tap = skip ? f.at[UP * i + UP - 1] : f.at[UP * i];
    terms.weight[i] = terms.first + i >= 0 && terms.first + i < size ? tap : 0.0f;
  }
  return terms;
}

template <int TAPS, int UP, int DOWN>
__device__ __forceinline__ void resample(T* y, const T* x, const Resample& g, const Taps& f) {
  static_assert(UP <= 2 && TAPS % UP == 0, "a shift by UP - 1 divides by UP; every output has as many terms");
  constexpr int SIZE = Pack<T>::SIZE, TERMS = TAPS / UP;
  const int h = static_cast<int>(g.h), w = static_cast<int>(g.w);
  const size_t packs = g.c / SIZE, n = g.n * g.p * g.q * packs, threads = size_t(gridDim.x) * MAP_THREADS;
  for (size_t at = size_t(blockIdx.x) * MAP_THREADS + threadIdx.x; at < n; at += threads) {
    const size_t pixel = at / packs, line = pixel / g.q;
    const auto rows = terms<TAPS, UP, DOWN>(static_cast<int>(line % g.p), static_cast<int>(g.pad_top), h, f);
    const auto columns = terms<TAPS, UP, DOWN>(static_cast<int>(pixel % g.q), static_cast<int>(g.pad_left), w, f);
    const Pack<T>* image = reinterpret_cast<const Pack<T>*>(x) + line / g.p * g.h * g.w * packs + at % packs;
    float sum[SIZE] = {};
#pragma unroll
    for (int i = 0; i < TERMS; ++i) {
#pragma unroll
      for (int j = 0; j < TERMS; ++j) {
        const float weight = rows.weight[i] * columns.weight[j];
        // Outside of the image any pixel inside will do.
        const int row = min(max(rows.first + i, 0), h - 1), column = min(max(columns.first + j, 0), w - 1);
        const Pack<T> in = image[(size_t(row) * w + column) * packs];
#pragma unroll
        for (int k = 0; k < SIZE; ++k) sum[k] += weight * to_float(in.at[k]);
      }
    }
    Pack<T> out;
#pragma unroll
    for (int k = 0; k < SIZE; ++k) out.at[k] = from_float<T>(sum[k]);
    reinterpret_cast<Pack<T>*>(y)[at] = out;
  }
}

KERNEL(MAP_THREADS) resample_4_up(T* y, const T* x, Resample g, Taps f) { resample<4, 2, 1>(y, x, g, f); }
KERNEL(MAP_THREADS) resample_4_down(T* y, const T* x, Resample g, Taps f) { resample<4, 1, 2>(y, x, g, f); }
KERNEL(MAP_THREADS) resample_4_same(T* y, const T* x, Resample g, Taps f) { resample<4, 1, 1>(y, x, g, f); }
KERNEL(MAP_THREADS) resample_2_up(T* y, const T* x, Resample g, Taps f) { resample<2, 2, 1>(y, x, g, f); }
KERNEL(MAP_THREADS) resample_2_down(T* y, const T* x, Resample g, Taps f) { resample<2, 1, 2>(y, x, g, f); }
