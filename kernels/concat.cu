// Joining along the last axis, cutting columns out, and putting them back among zeros. Rows are [M, columns]; where
// all columns come in packs of 16 bytes, E is a pack, else a number.
#include "map.cuh"

constexpr size_t PACK = Pack<T>::SIZE;

__device__ __forceinline__ Pack<T>* packs(T* x) { return reinterpret_cast<Pack<T>*>(x); }
__device__ __forceinline__ const Pack<T>* packs(const T* x) { return reinterpret_cast<const Pack<T>*>(x); }

// out[m, j] = at(m, j).
template <class E, class F>
__device__ __forceinline__ void for_rows(E* out, size_t rows, size_t columns, F at) {
  const size_t n = rows * columns, threads = size_t(gridDim.x) * MAP_THREADS;
  for (size_t i = size_t(blockIdx.x) * MAP_THREADS + threadIdx.x; i < n; i += threads) {
    out[i] = at(i / columns, i % columns);
  }
}

template <class E>
__device__ __forceinline__ void join(E* out, const E* x, const E* y, size_t rows, size_t a, size_t b) {
  for_rows(out, rows, a + b, [=](size_t m, size_t j) { return j < a ? x[m * a + j] : y[m * b + j - a]; });
}

// [M, A] and [M, B] -> [M, A + B].
KERNEL(MAP_THREADS) concat_forward(T* out, const T* x, const T* y, size_t rows, size_t a, size_t b) {
  if (a % PACK == 0 && b % PACK == 0) {
    join(packs(out), packs(x), packs(y), rows, a / PACK, b / PACK);
  } else {
    join(out, x, y, rows, a, b);
  }
}

template <class E>
__device__ __forceinline__ void cut(E* out, const E* x, size_t rows, size_t c, size_t start, size_t len) {
  for_rows(out, rows, len, [=](size_t m, size_t j) { return x[m * c + start + j]; });
}

// Columns start .. start + len of [M, C] -> [M, len].
KERNEL(MAP_THREADS) concat_slice(T* out, const T* x, size_t rows, size_t c, size_t start, size_t len) {
  if (c % PACK == 0 && start % PACK == 0 && len % PACK == 0) {
    cut(packs(out), packs(x), rows, c / PACK, start / PACK, len / PACK);
  } else {
    cut(out, x, rows, c, start, len);
  }
}

template <class E>
__device__ __forceinline__ void put_back(E* out, const E* x, size_t rows, size_t c, size_t start, size_t len) {
  for_rows(out, rows, c, [=](size_t m, size_t j) {
    return j >= start && j - start < len ? x[m * len + j - start] : E{};
  });
}

// The transpose of concat_slice: [M, len] -> [M, C], zero elsewhere.
KERNEL(MAP_THREADS) concat_embed(T* out, const T* x, size_t rows, size_t c, size_t start, size_t len) {
  if (c % PACK == 0 && start % PACK == 0 && len % PACK == 0) {
    put_back(packs(out), packs(x), rows, c / PACK, start / PACK, len / PACK);
  } else {
    put_back(out, x, rows, c, start, len);
  }
}
