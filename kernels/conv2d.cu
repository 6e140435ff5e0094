// 2-D convolution of x [N, H, W, C] with w [K, R, S, C] to y [N, P, Q, K], and its two gradients:
//   y[n, p, q, k] = (sum over r, s, c of x[n, p stride + r - top, q stride + s - left, c] w[k, r, s, c]
//                    + bias[k] + time_bias[n, k] + residual[n, p, q, k]) scale,
//   dx = d<y, dy>/dx, dw = d<y, dy>/dw of the bare sum; x is 0 outside.
//
// v1: one thread an output.
// v2: products of matrices by tiles in shared memory, gathered as they are loaded:
//     y  [N P Q, K]   = x under the taps [N P Q, R S C] times w^T,
//     dx [N H W, C]   = dy under the taps [N H W, R S K] times w [R S K, C],
//     dw [K, R S C]   = dy^T [K, N P Q] times x under the taps; N P Q is cut, and the parts are added afterwards.
// v3, v4: the same products on tensor cores, in conv2d_mma.cu: bf16 and whole packs of channels.
// v2 to v4 count in 31 bits: less than 2^30 pixels, and taps of a filter; tensors of any size.
// conv2d_finish: the terms alone, for a sum that cuDNN left in y.
#include "conv2d.cuh"
#include "map.cuh"
#include "tiled.cuh"

constexpr int THREADS = 256;

// ---- v1 -------------------------------------------------------------------------------------------------------------

// A pixel of an image, and a place in a filter.
struct Pixel {
  int n, h, w;
};
struct Tap {
  int r, s, c;
};

__device__ __forceinline__ Pixel pixel_of(size_t at, size_t height, size_t width) {
  const size_t line = at / width;
  return {static_cast<int>(line / height), static_cast<int>(line % height), static_cast<int>(at % width)};
}
__device__ __forceinline__ Tap tap_of(size_t at, const Conv2d& g, size_t channels) {
  const size_t tap = at / channels;
  return {static_cast<int>(tap / g.s), static_cast<int>(tap % g.s), static_cast<int>(at % channels)};
}

// x under a tap of output pixel (n, p, q).
__device__ __forceinline__ float input_under(const T* x, const Conv2d& g, Pixel y, Tap tap) {
  const int stride = static_cast<int>(g.stride), height = static_cast<int>(g.h), width = static_cast<int>(g.w);
  const int h = y.h * stride + tap.r - static_cast<int>(g.pad[0]);
  const int w = y.w * stride + tap.s - static_cast<int>(g.pad[2]);
  if (h < 0 || h >= height || w < 0 || w >= width) return 0.0f;
  return to_float(x[(size_t(y.n * height + h) * g.w + w) * g.c + tap.c]);
}

// dy of the output pixel that has input pixel (n, h, w) under a tap, channel tap.c.
__device__ __forceinline__ float output_over(const T* dy, const Conv2d& g, Pixel x, Tap tap) {
  const int stride = static_cast<int>(g.stride), height = static_cast<int>(g.p), width = static_cast<int>(g.q);
  const int p = x.h + static_cast<int>(g.pad[0]) - tap.r, q = x.w + static_cast<int>(g.pad[2]) - tap.s;
  if (p < 0 || p % stride != 0 || p / stride >= height || q < 0 || q % stride != 0 || q / stride >= width) return 0.0f;
  return to_float(dy[(size_t(x.n * height + p / stride) * g.q + q / stride) * g.k + tap.c]);
}

KERNEL(THREADS) conv2d_forward_v1(T* y, const T* x, const T* w, const T* bias, const T* time_bias, const T* residual,
                                  Conv2d g, float scale) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= g.n * g.p * g.q * g.k) return;
  const Pixel pixel = pixel_of(at / g.k, g.p, g.q);
  const size_t taps = g.r * g.s * g.c, k = at % g.k;
  float sum = 0.0f;
  for (size_t i = 0; i < taps; ++i) sum += input_under(x, g, pixel, tap_of(i, g, g.c)) * to_float(w[k * taps + i]);
  y[at] = from_float<T>(Finish<T>{bias, time_bias, residual, scale}(sum, pixel.n, k, g.k, at));
}

KERNEL(THREADS) conv2d_input_grad_v1(T* dx, const T* dy, const T* w, Conv2d g) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= g.n * g.h * g.w * g.c) return;
  const Pixel pixel = pixel_of(at / g.c, g.h, g.w);
  float sum = 0.0f;
  for (size_t i = 0; i < g.r * g.s * g.k; ++i) {
    const Tap tap = tap_of(i, g, g.k);
    sum += output_over(dy, g, pixel, tap) * to_float(w[((tap.c * g.r + tap.r) * g.s + tap.s) * g.c + at % g.c]);
  }
  dx[at] = from_float<T>(sum);
}

KERNEL(THREADS) conv2d_weight_grad_v1(T* dw, const T* x, const T* dy, Conv2d g) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x, taps = g.r * g.s * g.c;
  if (at >= g.k * taps) return;
  const Tap tap = tap_of(at % taps, g, g.c);
  float sum = 0.0f;
  for (size_t i = 0; i < g.n * g.p * g.q; ++i) {
    sum += to_float(dy[i * g.k + at / taps]) * input_under(x, g, pixel_of(i, g.p, g.q), tap);
  }
  dw[at] = from_float<T>(sum);
}

// ---- v2 -------------------------------------------------------------------------------------------------------------

// Blocks (tiles of N P Q, tiles of K).
KERNEL(TILED_THREADS) conv2d_forward(T* y, const T* x, const T* w, const T* bias, const T* time_bias,
                                     const T* residual, Conv2dIndex g, float scale) {
  const unsigned pixels = g.n * g.p.by * g.q.by, taps = g.r * g.s.by * g.c.by, channels = g.k.by;
  const Finish<T> finish{bias, time_bias, residual, scale};
  multiply_tile<true, true>(blockIdx.x, blockIdx.y, pixels, channels, 0, taps, Patches<T, true>{x, g, pixels, taps},
                            Dense<T>{w, channels, taps, taps, 1}, [&](unsigned m, unsigned n, float sum) {
                              const size_t at = size_t(m) * channels + n;
                              y[at] = from_float<T>(finish(sum, m / g.q / g.p, n, channels, at));
                            });
}

// Blocks (tiles of N H W, tiles of C).
KERNEL(TILED_THREADS) conv2d_input_grad(T* dx, const T* dy, const T* w, Conv2dIndex g) {
  const unsigned pixels = g.n * g.h.by * g.w.by, taps = g.r * g.s.by * g.k.by, channels = g.c.by;
  multiply_tile<true, false>(
      blockIdx.x, blockIdx.y, pixels, channels, 0, taps, Reached<T>{dy, g, pixels, taps},
      TurnedFilters<T>{w, g, channels, taps},
      [&](unsigned m, unsigned n, float sum) { dx[size_t(m) * channels + n] = from_float<T>(sum); });
}

// parts [parts, K, R S C], each the sum over `length` pixels. Blocks (tiles of R S C, tiles of K, parts).
template <class N>
__device__ __forceinline__ void weight_grad(N* parts, const T* x, const T* dy, const Conv2dIndex& g, unsigned length) {
  const unsigned pixels = g.n * g.p.by * g.q.by, taps = g.r * g.s.by * g.c.by, channels = g.k.by;
  const unsigned begin = blockIdx.z * length, end = min(begin + length, pixels);
  multiply_tile<false, false>(blockIdx.y, blockIdx.x, channels, taps, begin, end,
                              Dense<T>{dy, channels, end, 1, channels}, Patches<T, false>{x, g, taps, end},
                              [&](unsigned m, unsigned n, float sum) {
                                parts[(size_t(blockIdx.z) * channels + m) * taps + n] = from_float<N>(sum);
                              });
}

KERNEL(TILED_THREADS) conv2d_weight_grad(T* dw, const T* x, const T* dy, Conv2dIndex g, unsigned length) {
  weight_grad(dw, x, dy, g, length);
}
KERNEL(TILED_THREADS) conv2d_weight_grad_parts(float* parts, const T* x, const T* dy, Conv2dIndex g, unsigned length) {
  weight_grad(parts, x, dy, g, length);
}

// ---- after cuDNN ----------------------------------------------------------------------------------------------------

// packs: those of a pixel's channels.
KERNEL(MAP_THREADS) conv2d_finish(T* y, const T* bias, const T* time_bias, const T* residual, Conv2dIndex g,
                                  Divisor packs, float scale) {
  constexpr unsigned SIZE = Pack<T>::SIZE;
  const unsigned channels = g.k.by, pixels = g.n * g.p.by * g.q.by;
  const unsigned threads = gridDim.x * blockDim.x, thread = blockIdx.x * blockDim.x + threadIdx.x;
  const Finish<T> finish{bias, time_bias, residual, scale};
  auto finished = [&](T sum, unsigned pixel, unsigned channel) {
    const size_t at = size_t(pixel) * channels + channel;
    return from_float<T>(finish(to_float(sum), pixel / g.q / g.p, channel, channels, at));
  };
  if (channels % SIZE == 0) {
    for (unsigned i = thread; i < pixels * packs.by; i += threads) {
      const unsigned pixel = i / packs, channel = (i - pixel * packs.by) * SIZE;
      Pack<T> pack = reinterpret_cast<Pack<T>*>(y)[i];
#pragma unroll
      for (unsigned j = 0; j < SIZE; ++j) pack.at[j] = finished(pack.at[j], pixel, channel + j);
      reinterpret_cast<Pack<T>*>(y)[i] = pack;
    }
  } else {
    for (size_t i = thread; i < size_t(pixels) * channels; i += threads) {
      y[i] = finished(y[i], static_cast<unsigned>(i / channels), static_cast<unsigned>(i % channels));
    }
  }
}
