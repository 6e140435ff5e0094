// Standard normal and uniform numbers: element i is position i of the sequence `key`. A thread draws the four numbers
// of a Philox block.
#include "philox.cuh"

constexpr int THREADS = 256;

template <class F>
__device__ __forceinline__ void draw(T* y, size_t n, F draw4) {
  const size_t threads = size_t(gridDim.x) * THREADS;
  for (size_t block = size_t(blockIdx.x) * THREADS + threadIdx.x; block * 4 < n; block += threads) {
    const Four four = draw4(block);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (block * 4 + j < n) y[block * 4 + j] = from_float<T>(four.at[j]);
    }
  }
}

KERNEL(THREADS) random_normal(T* y, Key key, size_t n) {
  draw(y, n, [=](size_t block) { return normal4(key, block); });
}

KERNEL(THREADS) random_uniform(T* y, Key key, size_t n) {
  draw(y, n, [=](size_t block) { return uniform4(key, block); });
}
