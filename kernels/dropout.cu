// y = x scale where the uniform number at the element's position of the sequence `key` is above p, 0 elsewhere;
// scale = 1 / (1 - p).
#include "quads.cuh"

KERNEL(QUAD_THREADS) dropout_forward(T* y, const T* x, Key key, float p, float scale, size_t n) {
  for_quads(n, [=](size_t i) {
    Four four = load4(x, i, n);
    const Four u = uniform4(key, i);
#pragma unroll
    for (int j = 0; j < 4; ++j) four.at[j] = u.at[j] > p ? scale * four.at[j] : 0.0f;
    store4(y, i, n, four);
  });
}
