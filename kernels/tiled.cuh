// C = A B by tiles in shared memory, in float; A, B and what is done with C are functions, so that convolutions and
// their gradients are products of matrices that are never in memory.
#pragma once
#include "gpu.cuh"

constexpr int TILED_THREADS = 256;
// Rows and columns of a block's tile of C, and how much of k is in shared memory at a time.
constexpr int TILE = 64, DEPTH = 16;

// Calls put(m, n, sum over k of a(m, k) b(k, n)), k from `begin` to `end`, for the tile (row, column) of C [M, N].
// Neighbouring threads call `a` with neighbouring k if A_BY_K, else with neighbouring m; `b` likewise.
template <bool A_BY_K, bool B_BY_K, class A, class B, class Put>
__device__ __forceinline__ void multiply_tile(unsigned row, unsigned column, unsigned m_size, unsigned n_size,
                                              unsigned begin, unsigned end, A a, B b, Put put) {
  constexpr int EACH = 4, LOADS = TILE * DEPTH / TILED_THREADS;
  // Four more, so that a column does not fall into one bank.
  __shared__ __align__(16) float of_a[DEPTH][TILE + 4], of_b[DEPTH][TILE + 4];
  const unsigned thread = threadIdx.x, m0 = row * TILE, n0 = column * TILE;
  const unsigned my_row = thread / (TILE / EACH) * EACH, my_column = thread % (TILE / EACH) * EACH;
  float sums[EACH][EACH] = {};
  for (unsigned k0 = begin; k0 < end; k0 += DEPTH) {
    __syncthreads();  // until the last step's tiles are read
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      const unsigned at = thread + i * TILED_THREADS;
      const unsigned ka = A_BY_K ? at % DEPTH : at / TILE, m = A_BY_K ? at / DEPTH : at % TILE;
      const unsigned kb = B_BY_K ? at % DEPTH : at / TILE, n = B_BY_K ? at / DEPTH : at % TILE;
      of_a[ka][m] = m0 + m < m_size && k0 + ka < end ? a(m0 + m, k0 + ka) : 0.0f;
      of_b[kb][n] = n0 + n < n_size && k0 + kb < end ? b(k0 + kb, n0 + n) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
      const float4 u = *reinterpret_cast<const float4*>(&of_a[k][my_row]);
      const float4 v = *reinterpret_cast<const float4*>(&of_b[k][my_column]);
      const float rows[EACH] = {u.x, u.y, u.z, u.w}, columns[EACH] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int i = 0; i < EACH; ++i) {
#pragma unroll
        for (int j = 0; j < EACH; ++j) sums[i][j] += rows[i] * columns[j];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < EACH; ++i) {
#pragma unroll
    for (int j = 0; j < EACH; ++j) {
      if (m0 + my_row + i < m_size && n0 + my_column + j < n_size) put(m0 + my_row + i, n0 + my_column + j, sums[i][j]);
    }
  }
}
