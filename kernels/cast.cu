// The same numbers in another type. Rounds to the nearest, halves to the even.
#include "quads.cuh"

KERNEL(QUAD_THREADS) cast_to_bf16(bf16* y, const float* x, size_t n) {
  for_quads(n, [&](size_t i) { store4(y, i, n, load4(x, i, n)); });
}

KERNEL(QUAD_THREADS) cast_to_float(float* y, const bf16* x, size_t n) {
  for_quads(n, [&](size_t i) { store4(y, i, n, load4(x, i, n)); });
}
