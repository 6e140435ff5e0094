// Element-wise loops: y[i] = f(x[i], ..) for i < n. Memory is the cost, so a thread moves 16 bytes at a time.
#pragma once
#include "piece.cuh"

constexpr int MAP_THREADS = 256;

// Tensors begin at multiples of 16 bytes (the allocator sees to it), so whole packs are aligned; the rest, less
// than one pack, is done one by one.
template <class N, class F, class... In>
__device__ __forceinline__ void map(N* __restrict__ y, size_t n, F f, const In* __restrict__... x) {
  constexpr int SIZE = Pack<N>::SIZE;
  const size_t threads = size_t(gridDim.x) * blockDim.x, thread = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const size_t packs = n / SIZE;
  auto evaluate = [&](const auto&... in) {
    Floats<SIZE> out;
#pragma unroll
    for (int j = 0; j < SIZE; ++j) out.at[j] = f(in.at[j]...);
    return from_floats<N>(out);
  };
  for (size_t i = thread; i < packs; i += threads) {
    store(y + i * SIZE, evaluate(to_floats(load<SIZE>(x + i * SIZE))...));
  }
  for (size_t i = packs * SIZE + thread; i < n; i += threads) y[i] = from_float<N>(f(to_float(x[i])...));
}
