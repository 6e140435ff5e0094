// Sums over the middle axis, y[o, i] = sum over m of x[o, m, i], and the copying back that is their transpose.
// Always in the same order, which depends on the sizes alone.
//
// v1: one thread an output.
// v2: a block adds a chunk of rows for up to 32 columns, its threads side by side along memory; the sums of several
//     chunks are added by a second launch. As many blocks as the GPU needs, however few outputs there are.
#include "gpu.cuh"

constexpr int THREADS = 256;
constexpr int COLUMNS = 32;

KERNEL(THREADS) sum_middle_v1(T* y, const T* x, SumSizes s) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= s.outer * s.inner) return;
  const size_t o = at / s.inner, i = at % s.inner;
  float sum = 0.0f;
  for (size_t m = 0; m < s.middle; ++m) sum += to_float(x[(o * s.middle + m) * s.inner + i]);
  y[at] = from_float<T>(sum);
}

// Block (x, y) = (outer and column tile, chunk) writes y[outer, chunk, columns of the tile].
template <class N, class M>
__device__ __forceinline__ void sum_chunk(N* y, const M* x, SumSizes s) {
  __shared__ float part[THREADS];
  const size_t tiles = (s.inner + COLUMNS - 1) / COLUMNS;
  const size_t o = blockIdx.x / tiles, first = blockIdx.x % tiles * COLUMNS;
  // Threads in rows as wide as the tile: where tensors have one column, all threads stand below each other.
  const int width = static_cast<int>(s.inner - first < COLUMNS ? s.inner - first : COLUMNS), rows = THREADS / width;
  const int column = threadIdx.x % width, row = threadIdx.x / width;
  const size_t begin = blockIdx.y * s.chunk, end = begin + s.chunk < s.middle ? begin + s.chunk : s.middle;
  float sum = 0.0f;
  if (row < rows) {
    for (size_t m = begin + row; m < end; m += rows) sum += to_float(x[(o * s.middle + m) * s.inner + first + column]);
  }
  part[threadIdx.x] = sum;
  __syncthreads();
  // Halves the rows until one is left; an odd one waits for its turn.
  for (int left = rows; left > 1; left = (left + 1) / 2) {
    const int half = (left + 1) / 2;
    if (row < left / 2) part[threadIdx.x] += part[threadIdx.x + half * width];
    __syncthreads();
  }
  if (row == 0) y[(o * gridDim.y + blockIdx.y) * s.inner + first + column] = from_float<N>(part[threadIdx.x]);
}

// All in one chunk.
KERNEL(THREADS) sum_middle(T* y, const T* x, SumSizes s) { sum_chunk(y, x, s); }
// The chunks, and the sum of their sums [outer, chunks, inner].
KERNEL(THREADS) sum_chunks(float* parts, const T* x, SumSizes s) { sum_chunk(parts, x, s); }
KERNEL(THREADS) sum_parts(T* y, const float* parts, SumSizes s) { sum_chunk(y, parts, s); }

// y[o, m, i] = x[o, i].
KERNEL(THREADS) sum_expand(T* y, const T* x, SumSizes s) {
  const size_t n = s.outer * s.middle * s.inner, threads = size_t(gridDim.x) * THREADS;
  for (size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x; at < n; at += threads) {
    y[at] = x[at / (s.middle * s.inner) * s.inner + at % s.inner];
  }
}
