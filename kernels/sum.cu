// Sums over the middle axis, y[o, i] = sum over m of x[o, m, i], and the copying back that is their transpose.
// Always in the same order, which depends on the sizes alone.
//
// v1: one thread an output.
// v2: a block adds a chunk of rows for up to 32 columns, or 8 packs of 16 bytes of them, its threads side by side along
//     memory; the sums of several chunks are added by a second launch. As many blocks as the GPU needs, however few
//     outputs there are.
#include "divide.cuh"
#include "piece.cuh"

constexpr int THREADS = 256;
// Threads side by side, at most: of packs, and of numbers.
constexpr int PACKS = 8, COLUMNS = 32;

KERNEL(THREADS) sum_middle_v1(T* y, const T* x, SumSizes s) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= s.outer * s.inner) return;
  const size_t o = at / s.inner, i = at % s.inner;
  float sum = 0.0f;
  for (size_t m = 0; m < s.middle; ++m) sum += to_float(x[(o * s.middle + m) * s.inner + i]);
  y[at] = from_float<T>(sum);
}

// Block (x, y) = (outer and tile of columns, chunk) writes y[outer, chunk, columns of the tile].
template <int SIZE, class N, class M>
__device__ __forceinline__ void sum_chunk(N* y, const M* x, const SumSizes& s, size_t o, size_t tile) {
  constexpr unsigned WIDTH = SIZE * (SIZE == 1 ? COLUMNS : PACKS);
  __shared__ float part[SIZE * THREADS];
  const size_t first = tile * WIDTH;
  // Threads in rows as wide as the tile: where tensors have one column, all threads stand below each other.
  const unsigned pieces = (s.inner - first < WIDTH ? static_cast<unsigned>(s.inner - first) : WIDTH) / SIZE;
  const unsigned rows = THREADS / pieces, row = threadIdx.x / pieces, column = threadIdx.x % pieces * SIZE;
  const size_t begin = blockIdx.y * s.chunk, end = begin + s.chunk < s.middle ? begin + s.chunk : s.middle;
  float sums[SIZE] = {};
  if (row < rows) {
    const M* from = x + (o * s.middle + begin + row) * s.inner + first + column;
#pragma unroll 4
    for (size_t m = begin + row; m < end; m += rows, from += rows * s.inner) {
      const Floats<SIZE> values = to_floats(load<SIZE>(from));
#pragma unroll
      for (int j = 0; j < SIZE; ++j) sums[j] += values.at[j];
    }
  }
#pragma unroll
  for (int j = 0; j < SIZE; ++j) part[j * THREADS + threadIdx.x] = sums[j];
  __syncthreads();
  // Halves the rows until one is left; an odd one waits for its turn.
  for (unsigned left = rows; left > 1; left = (left + 1) / 2) {
    const unsigned half = (left + 1) / 2;
    if (row < left / 2) {
#pragma unroll
      for (int j = 0; j < SIZE; ++j) {
        float* sum = part + j * THREADS + threadIdx.x;
        *sum = sums[j] += sum[half * pieces];
      }
    }
    __syncthreads();
  }
  if (row > 0) return;
#pragma unroll
  for (int j = 0; j < SIZE; ++j) {
    y[(o * gridDim.y + blockIdx.y) * s.inner + first + column + j] = from_float<N>(sums[j]);
  }
}

// The same where there are so many `tiles` of columns.
template <int SIZE, class N>
__device__ __forceinline__ void sum_chunk(N* y, const T* x, const SumSizes& s, const Divisor& tiles) {
  sum_chunk<SIZE>(y, x, s, blockIdx.x / tiles, blockIdx.x % tiles);
}

// All in one chunk.
KERNEL(THREADS) sum_middle(T* y, const T* x, SumSizes s, Divisor tiles) { sum_chunk<1>(y, x, s, tiles); }
KERNEL(THREADS) sum_middle_packed(T* y, const T* x, SumSizes s, Divisor tiles) {
  sum_chunk<Pack<T>::SIZE>(y, x, s, tiles);
}
// The chunks, and the sum of their sums [outer, chunks, inner].
KERNEL(THREADS) sum_chunks(float* parts, const T* x, SumSizes s, Divisor tiles) { sum_chunk<1>(parts, x, s, tiles); }
KERNEL(THREADS) sum_chunks_packed(float* parts, const T* x, SumSizes s, Divisor tiles) {
  sum_chunk<Pack<T>::SIZE>(parts, x, s, tiles);
}
KERNEL(THREADS) sum_parts(T* y, const float* parts, SumSizes s) {
  const size_t tiles = (s.inner + COLUMNS - 1) / COLUMNS;
  sum_chunk<1>(y, parts, s, blockIdx.x / tiles, blockIdx.x % tiles);
}

// y[o, m, i] = x[o, i].
KERNEL(THREADS) sum_expand(T* y, const T* x, SumSizes s) {
  const size_t n = s.outer * s.middle * s.inner, threads = size_t(gridDim.x) * THREADS;
  for (size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x; at < n; at += threads) {
    y[at] = x[at / (s.middle * s.inner) * s.inner + at % s.inner];
  }
}
