// C = A B by tiles in shared memory, in float; A and B are matrices as share.cuh has them, and what is done with C is
// a function, so that convolutions and their gradients are products of matrices that are never in memory.
#pragma once
#include "share.cuh"

constexpr int TILED_THREADS = 256;
// Rows and columns of a block's tile of C, and how much of k is in shared memory at a time.
constexpr int TILE = 64, DEPTH = 16;

// The numbers of 64 lines, in float, depth by depth. Four more, so that a depth does not fall into one bank.
typedef float TiledOperand[DEPTH][TILE + 4];

// A thread's share of an operand; neighbouring threads load neighbouring depths if BY_K, else neighbouring lines.
template <class Matrix, bool BY_K>
using TiledShare = Share<Matrix, BY_K ? TILE : DEPTH, BY_K ? DEPTH : TILE, 1, TILED_THREADS, BY_K>;

template <bool BY_K, class Matrix>
__device__ __forceinline__ void fill(TiledOperand& to, const TiledShare<Matrix, BY_K>& share, unsigned k0) {
  share.load(k0, [&](int row, int column, const typename Matrix::Number* from, bool there) {
    to[BY_K ? column : row][BY_K ? row : column] = there ? to_float(*from) : 0.0f;
  });
}

// Calls put(m, n, sum over k of a(m, k) b(n, k)), k from `begin` to `end`, for the tile (row, column) of C [M, N].
template <bool A_BY_K, bool B_BY_K, class A, class B, class Put>
__device__ __forceinline__ void multiply_tile(unsigned row, unsigned column, unsigned m_size, unsigned n_size,
                                              unsigned begin, unsigned end, const A& a, const B& b, Put put) {
  constexpr int EACH = 4;
  __shared__ __align__(16) TiledOperand of_a, of_b;
  const unsigned thread = threadIdx.x, m0 = row * TILE, n0 = column * TILE;
  const unsigned my_row = thread / (TILE / EACH) * EACH, my_column = thread % (TILE / EACH) * EACH;
  const TiledShare<A, A_BY_K> share_a(a, m0);
  const TiledShare<B, B_BY_K> share_b(b, n0);
  float sums[EACH][EACH] = {};
  for (unsigned k0 = begin; k0 < end; k0 += DEPTH) {
    __syncthreads();  // until the last step's tiles are read
    fill<A_BY_K>(of_a, share_a, k0);
    fill<B_BY_K>(of_b, share_b, k0);
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
