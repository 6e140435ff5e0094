// What each thread of a block loads of a tile of a matrix that is nowhere as a whole: it is gathered from others.
#pragma once
#include "gpu.cuh"

// A matrix tells where its numbers are, by their line and their depth, which products are summed over:
//   Line line(i)         what follows from the line alone, found once; a line outside may be any other, as its sums
//                        are not kept
//   Depth depth(k)       what follows from the depth alone, found once for all lines of a thread
//   bool find(line, depth, &from)
//                        where the number is, and whether there is one: it is 0 else, as it is at a depth outside
// and keeps only a little arithmetic for every number.
//
// A thread takes CHUNK neighbours at a time, along the depth if BY_K, else along the lines: all of them are there, or
// none is. The tile has ROWS rows of LENGTH numbers in that direction.
template <class Matrix, int ROWS, int LENGTH, int CHUNK, int THREADS, bool BY_K>
struct Share {
  static constexpr int ACROSS = LENGTH / CHUNK, STEP = THREADS / ACROSS, COUNT = ROWS / STEP;
  static_assert(THREADS % ACROSS == 0 && ROWS % STEP == 0, "every thread takes the same columns, and as many rows");

  const Matrix& matrix;
  const int row, column;
  typename Matrix::Line lines[BY_K ? COUNT : 1];

  // Of the lines from `first` on.
  __device__ __forceinline__ Share(const Matrix& matrix, unsigned first)
      : matrix(matrix), row(threadIdx.x / ACROSS), column(threadIdx.x % ACROSS * CHUNK) {
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
      if (BY_K || i == 0) lines[i] = matrix.line(first + (BY_K ? row + i * STEP : column));
    }
  }

  // Calls put(row of the tile, column, where the numbers are, whether they are there), for the depths from k on.
  template <class Put>
  __device__ __forceinline__ void load(unsigned k, Put put) const {
    typename Matrix::Depth depth = {};
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
      if (!BY_K || i == 0) depth = matrix.depth(k + (BY_K ? column : row + i * STEP));
      const typename Matrix::Number* from;
      const bool there = matrix.find(lines[BY_K ? i : 0], depth, from);
      put(row + i * STEP, column, from, there);
    }
  }
};
