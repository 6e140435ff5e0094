// Element-wise loops: y[i] = f(x[i], ..) for i < n. Memory is the cost, so a thread moves 16 bytes at a time.
#pragma once
#include "gpu.cuh"

constexpr int MAP_THREADS = 256;

// 16 bytes of numbers.
template <class N>
struct __align__(16) Pack {
  static constexpr int SIZE = 16 / sizeof(N);
  N at[SIZE];
};

// Tensors begin at multiples of 16 bytes (the allocator sees to it), so whole packs are aligned; the rest, less
// than one pack, is done one by one.
template <class N, class F, class... In>
__device__ __forceinline__ void map(N* __restrict__ y, size_t n, F f, const In* __restrict__... x) {
  constexpr int SIZE = Pack<N>::SIZE;
  const size_t threads = size_t(gridDim.x) * blockDim.x, thread = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const size_t packs = n / SIZE;
  auto evaluate = [&](const Pack<In>&... in) {
    Pack<N> out;
#pragma unroll
    for (int j = 0; j < SIZE; ++j) out.at[j] = from_float<N>(f(to_float(in.at[j])...));
    return out;
  };
  for (size_t i = thread; i < packs; i += threads) {
    reinterpret_cast<Pack<N>*>(y)[i] = evaluate(reinterpret_cast<const Pack<In>*>(x)[i]...);
  }
  for (size_t i = packs * SIZE + thread; i < n; i += threads) y[i] = from_float<N>(f(to_float(x[i])...));
}
