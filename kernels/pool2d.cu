// Windows of x [N, H, W, C] to y [N, P, Q, C]: the maximum of a window, or the mean of its pixels inside of the image.
//
// v1: one thread an output. Only what judges pictures pools, and convolutions are its cost.
#include "map.cuh"

KERNEL(MAP_THREADS) pool2d_forward(T* y, const T* x, Pool2d g) {
  const size_t at = size_t(blockIdx.x) * MAP_THREADS + threadIdx.x;
  if (at >= g.n * g.p * g.q * g.c) return;
  const size_t c = at % g.c, q = at / g.c % g.q, p = at / (g.c * g.q) % g.p, n = at / (g.c * g.q * g.p);
  float sum = 0.0f, most = 0.0f;
  size_t count = 0;
  for (size_t r = 0; r < g.size; ++r) {
    const size_t i = p * g.stride + r;  // in the padded image
    if (i < g.pad || i - g.pad >= g.h) continue;
    for (size_t s = 0; s < g.size; ++s) {
      const size_t j = q * g.stride + s;
      if (j < g.pad || j - g.pad >= g.w) continue;
      const float value = to_float(x[((n * g.h + i - g.pad) * g.w + j - g.pad) * g.c + c]);
      sum += value;
      most = count == 0 ? value : fmaxf(most, value);
      ++count;
    }
  }
  y[at] = from_float<T>(g.average ? sum / float(count) : most);
}
