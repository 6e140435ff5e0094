// Windows of x [N, H, W, C] to y [N, P, Q, C]: the maximum of a window, or the mean of its pixels inside of the image.
//
// v1: one thread an output. Only what judges pictures pools.
// v2: one thread 16 bytes of outputs, where C has whole packs of them and there are less than 2^31.
#include "divide.cuh"
#include "map.cuh"

KERNEL(MAP_THREADS) pool2d_v1(T* y, const T* x, Pool2d g) {
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

// Of an image there are `p` lines of `q` pixels of so many `packs`.
KERNEL(MAP_THREADS) pool2d_packed(T* y, const T* x, Pool2d g, Divisor packs, Divisor q, Divisor p) {
  constexpr int SIZE = Pack<T>::SIZE;
  const unsigned at = blockIdx.x * MAP_THREADS + threadIdx.x;
  if (at >= g.n * g.p * g.q * packs.by) return;
  const unsigned pixel = at / packs, line = pixel / q, n = line / p;
  const int size = static_cast<int>(g.size), stride = static_cast<int>(g.stride), pad = static_cast<int>(g.pad);
  const int h = static_cast<int>(g.h), w = static_cast<int>(g.w);
  const int top = static_cast<int>(line % p) * stride - pad, left = static_cast<int>(pixel % q) * stride - pad;
  const int above = max(top, 0), below = min(top + size, h), before = max(left, 0), behind = min(left + size, w);
  const T* image = x + n * g.h * g.w * g.c + at % packs * SIZE;
  Floats<SIZE> sum = {}, most = {};
  for (int i = above; i < below; ++i) {
    for (int j = before; j < behind; ++j) {
      const Floats<SIZE> in = to_floats(load<SIZE>(image + (size_t(i) * w + j) * g.c));
#pragma unroll
      for (int k = 0; k < SIZE; ++k) {
        sum.at[k] += in.at[k];
        most.at[k] = i == above && j == before ? in.at[k] : fmaxf(most.at[k], in.at[k]);
      }
    }
  }
  const float count = static_cast<float>((below - above) * (behind - before));
#pragma unroll
  for (int k = 0; k < SIZE; ++k) sum.at[k] = g.average ? sum.at[k] / count : most.at[k];
  store(y + size_t(at) * SIZE, from_floats<T>(sum));
}
