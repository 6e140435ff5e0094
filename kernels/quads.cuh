// Loops over numbers four at a time: the four of a Philox block, so that noise is drawn where it is used.
#pragma once
#include "philox.cuh"
#include "piece.cuh"

constexpr int QUAD_THREADS = 256;

// f(i) for every quad i of n numbers; the last may be short.
template <class F>
__device__ __forceinline__ void for_quads(size_t n, F f) {
  const size_t threads = size_t(gridDim.x) * blockDim.x;
  for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; 4 * i < n; i += threads) f(i);
}

// Numbers 4 i .. 4 i + 3 of n; zeros behind the end.
template <class N>
__device__ __forceinline__ Four load4(const N* x, size_t i, size_t n) {
  Four four;
  if (4 * i + 4 <= n) {
    const Piece<N, 4> quad = load<4>(x + 4 * i);
#pragma unroll
    for (int j = 0; j < 4; ++j) four.at[j] = to_float(quad.at[j]);
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) four.at[j] = 4 * i + j < n ? to_float(x[4 * i + j]) : 0.0f;
  }
  return four;
}

template <class N>
__device__ __forceinline__ void store4(N* y, size_t i, size_t n, const Four& four) {
  if (4 * i + 4 <= n) {
    Piece<N, 4> quad;
#pragma unroll
    for (int j = 0; j < 4; ++j) quad.at[j] = from_float<N>(four.at[j]);
    store(y + 4 * i, quad);
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (4 * i + j < n) y[4 * i + j] = from_float<N>(four.at[j]);
    }
  }
}

// Which of the samples [N, size] the numbers 4 i .. 4 i + 3 belong to; the last one for what lies behind the end.
struct SampleOf {
  size_t first, rest;  // of the first number: its sample, and how many of that follow
  size_t size, last;

  __device__ __forceinline__ SampleOf(size_t i, size_t samples, size_t size)
      : first(4 * i / size), rest(size - 4 * i % size), size(size), last(samples - 1) {}

  __device__ __forceinline__ size_t operator[](size_t j) const {
    size_t sample = first;
    for (size_t end = rest; end <= j && sample < last; end += size) ++sample;
    return sample;
  }
};
