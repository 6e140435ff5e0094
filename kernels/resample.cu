// Up- and downsampling of x [N, H, W, C] to y [N, P, Q, C] by a separable filter f:
//   y[p, q] = sum over r, s of f[r] f[s] grid[p down + r - top, q down + s - left],
// where grid[i up, j up] = x[i, j], and 0 elsewhere. The transpose of one resampling is another.
//
// v1: one thread an output, all taps looked at.
// v2: a block computes a few lines of an image, a thread 16 bytes of channels of the pixels below each other there (one
//     channel, if C has no whole packs of them): lines share their inputs, once weighted across. Visits only taps that
//     meet an input, which are unrolled so that their loads are under way together. For the factors and filters that
//     networks have, and lines of less than 2^31 numbers.
#include "divide.cuh"
#include "map.cuh"

KERNEL(MAP_THREADS) resample_v1(T* y, const T* x, Resample g, Taps f) {
  const size_t at = size_t(blockIdx.x) * MAP_THREADS + threadIdx.x;
  if (at >= g.n * g.p * g.q * g.c) return;
  const size_t c = at % g.c, q = at / g.c % g.q, p = at / (g.c * g.q) % g.p, n = at / (g.c * g.q * g.p);
  const int up = g.up, h = g.h, w = g.w;
  float sum = 0.0f;
  for (size_t r = 0; r < f.count; ++r) {
    const int i = static_cast<int>(p * g.down + r) - static_cast<int>(g.pad_top);
    if (i < 0 || i % up != 0 || i / up >= h) continue;
    for (size_t s = 0; s < f.count; ++s) {
      const int j = static_cast<int>(q * g.down + s) - static_cast<int>(g.pad_left);
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

// Lines of a block: as many as share most of their inputs. Of upsampled ones, the two between which no input is.
template <int UP, int DOWN>
constexpr int LINES = UP * DOWN == 1 ? 4 : 2;

template <int TAPS, int UP, int DOWN, int SIZE>
__device__ __forceinline__ void resample(T* y, const T* x, const Resample& g, const Taps& f, const Divisor& tiles,
                                         const Divisor& pieces) {
  static_assert(UP <= 2 && TAPS % UP == 0, "a shift by UP - 1 divides by UP; every output has as many terms");
  constexpr int TERMS = TAPS / UP, DOWNWARDS = LINES<UP, DOWN>, ROWS = UP == 2 ? TERMS : (DOWNWARDS - 1) * DOWN + TAPS;
  const int h = static_cast<int>(g.h), w = static_cast<int>(g.w), c = static_cast<int>(g.c);
  const int p = static_cast<int>(g.p), pad = static_cast<int>(g.pad_top);
  const unsigned image = blockIdx.x / tiles, length = static_cast<unsigned>(g.q) * pieces.by;
  const int line = static_cast<int>(blockIdx.x % tiles) * DOWNWARDS - (UP == 2 ? (pad + 1) & 1 : 0);
  const int row = (line * DOWN - pad + UP - 1) >> (UP - 1);
  // Outside of the image any pixel inside will do.
  const auto inside = [](int i, int size) { return min(max(i, 0), size - 1); };
  const int first = inside(row, h);
  x += (image * g.h + first) * g.w * g.c;
  int below[ROWS];  // the first row, where the others are
  float present[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    below[r] = (inside(row + r, h) - first) * w * c;
    present[r] = row + r >= 0 && row + r < h ? 1.0f : 0.0f;
  }
  for (unsigned at = threadIdx.x; at < length; at += MAP_THREADS) {
    const int channel = static_cast<int>(at % pieces) * SIZE;
    const auto columns = terms<TAPS, UP, DOWN>(static_cast<int>(at / pieces), static_cast<int>(g.pad_left), w, f);
    const T* from[TERMS];
#pragma unroll
    for (int j = 0; j < TERMS; ++j) from[j] = x + (inside(columns.first + j, w) * c + channel);
    Floats<SIZE> sums[DOWNWARDS] = {};
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      float across[SIZE] = {};
#pragma unroll
      for (int j = 0; j < TERMS; ++j) {
        const float weight = present[r] * columns.weight[j];
        const Floats<SIZE> in = to_floats(load<SIZE>(from[j] + below[r]));
#pragma unroll
        for (int k = 0; k < SIZE; ++k) across[k] += weight * in.at[k];
      }
#pragma unroll
      for (int i = 0; i < DOWNWARDS; ++i) {
        const int tap = r * UP - i * DOWN + UP - 1;
        if (tap < 0 || tap >= TAPS) continue;
#pragma unroll
        for (int k = 0; k < SIZE; ++k) sums[i].at[k] += f.at[tap] * across[k];
      }
    }
#pragma unroll
    for (int i = 0; i < DOWNWARDS; ++i) {
      if (line + i < 0 || line + i >= p) continue;
      store(y + (image * g.p + line + i) * g.q * g.c + size_t(at) * SIZE, from_floats<T>(sums[i]));
    }
  }
}

// Blocks (tiles of LINES of all images): so many `tiles` of an image. A pixel has so many `pieces` of channels.
template <int TAPS, int UP, int DOWN>
__device__ __forceinline__ void resample(T* y, const T* x, const Resample& g, const Taps& f, const Divisor& tiles,
                                         const Divisor& pieces) {
  if (pieces.by < g.c) {
    resample<TAPS, UP, DOWN, Pack<T>::SIZE>(y, x, g, f, tiles, pieces);
  } else {
    resample<TAPS, UP, DOWN, 1>(y, x, g, f, tiles, pieces);
  }
}

KERNEL(MAP_THREADS) resample_4_up(T* y, const T* x, Resample g, Taps f, Divisor tiles, Divisor pieces) {
  resample<4, 2, 1>(y, x, g, f, tiles, pieces);
}
KERNEL(MAP_THREADS) resample_4_down(T* y, const T* x, Resample g, Taps f, Divisor tiles, Divisor pieces) {
  resample<4, 1, 2>(y, x, g, f, tiles, pieces);
}
KERNEL(MAP_THREADS) resample_4_same(T* y, const T* x, Resample g, Taps f, Divisor tiles, Divisor pieces) {
  resample<4, 1, 1>(y, x, g, f, tiles, pieces);
}
KERNEL(MAP_THREADS) resample_2_up(T* y, const T* x, Resample g, Taps f, Divisor tiles, Divisor pieces) {
  resample<2, 2, 1>(y, x, g, f, tiles, pieces);
}
KERNEL(MAP_THREADS) resample_2_down(T* y, const T* x, Resample g, Taps f, Divisor tiles, Divisor pieces) {
  resample<2, 1, 2>(y, x, g, f, tiles, pieces);
}
