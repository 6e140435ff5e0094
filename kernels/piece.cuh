// Neighbouring numbers that are moved at once, and computed with as floats.
#pragma once
#include "gpu.cuh"

template <class N, int LENGTH>
struct alignas(LENGTH * sizeof(N)) Piece {
  static constexpr int SIZE = LENGTH;
  N at[LENGTH];
};
// 16 bytes: the most that a thread moves at once.
template <class N>
using Pack = Piece<N, 16 / sizeof(N)>;

template <int SIZE, class N>
__device__ __forceinline__ Piece<N, SIZE> load(const N* from) {
  return *reinterpret_cast<const Piece<N, SIZE>*>(from);
}
template <int SIZE, class N>
__device__ __forceinline__ void store(N* to, Piece<N, SIZE> piece) {
  *reinterpret_cast<Piece<N, SIZE>*>(to) = piece;
}

template <int SIZE>
struct Floats {
  float at[SIZE];
};

template <int SIZE>
__device__ __forceinline__ Floats<SIZE> to_floats(const Piece<float, SIZE>& piece) {
  Floats<SIZE> y;
#pragma unroll
  for (int i = 0; i < SIZE; ++i) y.at[i] = piece.at[i];
  return y;
}
// Of two that share a word, one is shifted and one masked: the compiler alone would need a third instruction.
template <int SIZE>
__device__ __forceinline__ Floats<SIZE> to_floats(const Piece<bf16, SIZE>& piece) {
  Floats<SIZE> y;
  if constexpr (SIZE == 1) {
    y.at[0] = to_float(piece.at[0]);
  } else {
#pragma unroll
    for (int i = 0; i < SIZE; i += 2) {
      const uint32_t pair = *reinterpret_cast<const uint32_t*>(piece.at + i);
      y.at[i] = __uint_as_float(pair << 16);
      y.at[i + 1] = __uint_as_float(pair & 0xffff0000u);
    }
  }
  return y;
}

template <class N, int SIZE>
__device__ __forceinline__ Piece<N, SIZE> from_floats(const Floats<SIZE>& x) {
  Piece<N, SIZE> piece;
#pragma unroll
  for (int i = 0; i < SIZE; ++i) piece.at[i] = from_float<N>(x.at[i]);
  return piece;
}
