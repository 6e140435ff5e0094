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
// conv2d_finish: the terms alone, for a sum that cuDNN left in y.
#include "conv2d.cuh"
#include "map.cuh"
#include "tiled.cuh"

constexpr int THREADS = 256;

__device__ __forceinline__ float at_or_zero(const T* x, long long at) { return at < 0 ? 0.0f : to_float(x[at]); }

// ---- v1 -------------------------------------------------------------------------------------------------------------

KERNEL(THREADS) conv2d_forward_v1(T* y, const T* x, const T* w, const T* bias, const T* time_bias, const T* residual,
                                  Conv2d g, float scale) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= g.n * g.p * g.q * g.k) return;
  const Pixel pixel = pixel_of(at / g.k, g.p, g.q);
  const size_t taps = g.r * g.s * g.c, k = at % g.k;
  float sum = 0.0f;
  for (size_t i = 0; i < taps; ++i) sum += at_or_zero(x, input_under(g, pixel, tap_of(i, g, g.c))) * to_float(w[k * taps + i]);
  y[at] = from_float<T>(Finish<T>{bias, time_bias, residual, scale}(sum, pixel.n, k, g.k, at));
}

KERNEL(THREADS) conv2d_input_grad_v1(T* dx, const T* dy, const T* w, Conv2d g) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= g.n * g.h * g.w * g.c) return;
  const Pixel pixel = pixel_of(at / g.c, g.h, g.w);
  float sum = 0.0f;
  for (size_t i = 0; i < g.r * g.s * g.k; ++i) {
    const Tap tap = tap_of(i, g, g.k);
    sum += at_or_zero(dy, output_over(g, pixel, tap)) * to_float(w[((tap.c * g.r + tap.r) * g.s + tap.s) * g.c + at % g.c]);
  }
  dx[at] = from_float<T>(sum);
}

KERNEL(THREADS) conv2d_weight_grad_v1(T* dw, const T* x, const T* dy, Conv2d g) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x, taps = g.r * g.s * g.c;
  if (at >= g.k * taps) return;
  const Tap tap = tap_of(at % taps, g, g.c);
  float sum = 0.0f;
  for (size_t i = 0; i < g.n * g.p * g.q; ++i) {
    sum += to_float(dy[i * g.k + at / taps]) * at_or_zero(x, input_under(g, pixel_of(i, g.p, g.q), tap));
  }
  dw[at] = from_float<T>(sum);
}

// ---- v2 -------------------------------------------------------------------------------------------------------------

// Blocks (tiles of N P Q, tiles of K).
KERNEL(TILED_THREADS) conv2d_forward(T* y, const T* x, const T* w, const T* bias, const T* time_bias,
                                     const T* residual, Conv2d g, float scale) {
  const unsigned pixels = g.n * g.p * g.q, taps = g.r * g.s * g.c, channels = g.k;
  const Finish<T> finish{bias, time_bias, residual, scale};
  multiply_tile<true, true>(
      blockIdx.x, blockIdx.y, pixels, channels, 0, taps,
      [&](unsigned m, unsigned k) { return at_or_zero(x, input_under(g, pixel_of(m, g.p, g.q), tap_of(k, g, g.c))); },
      [&](unsigned k, unsigned n) { return to_float(w[size_t(n) * taps + k]); },
      [&](unsigned m, unsigned n, float sum) {
        const size_t at = size_t(m) * channels + n;
        y[at] = from_float<T>(finish(sum, pixel_of(m, g.p, g.q).n, n, channels, at));
      });
}

// Blocks (tiles of N H W, tiles of C).
KERNEL(TILED_THREADS) conv2d_input_grad(T* dx, const T* dy, const T* w, Conv2d g) {
  const unsigned pixels = g.n * g.h * g.w, taps = g.r * g.s * g.k, channels = g.c;
  multiply_tile<true, false>(
      blockIdx.x, blockIdx.y, pixels, channels, 0, taps,
      [&](unsigned m, unsigned k) { return at_or_zero(dy, output_over(g, pixel_of(m, g.h, g.w), tap_of(k, g, g.k))); },
      [&](unsigned k, unsigned n) {
        const Tap tap = tap_of(k, g, g.k);
        return to_float(w[((tap.c * g.r + tap.r) * g.s + tap.s) * channels + n]);
      },
      [&](unsigned m, unsigned n, float sum) { dx[size_t(m) * channels + n] = from_float<T>(sum); });
}

// parts [parts, K, R S C], each the sum over `length` pixels. Blocks (tiles of R S C, tiles of K, parts).
template <class N>
__device__ __forceinline__ void weight_grad(N* parts, const T* x, const T* dy, const Conv2d& g, unsigned length) {
  const unsigned pixels = g.n * g.p * g.q, taps = g.r * g.s * g.c, channels = g.k;
  const unsigned begin = blockIdx.z * length, end = min(begin + length, pixels);
  multiply_tile<false, false>(
      blockIdx.y, blockIdx.x, channels, taps, begin, end,
      [&](unsigned m, unsigned k) { return to_float(dy[size_t(k) * channels + m]); },
      [&](unsigned k, unsigned n) { return at_or_zero(x, input_under(g, pixel_of(k, g.p, g.q), tap_of(n, g, g.c))); },
      [&](unsigned m, unsigned n, float sum) {
        parts[(size_t(blockIdx.z) * channels + m) * taps + n] = from_float<N>(sum);
      });
}

KERNEL(TILED_THREADS) conv2d_weight_grad(T* dw, const T* x, const T* dy, Conv2d g, unsigned length) {
  weight_grad(dw, x, dy, g, length);
}
KERNEL(TILED_THREADS) conv2d_weight_grad_parts(float* parts, const T* x, const T* dy, Conv2d g, unsigned length) {
  weight_grad(parts, x, dy, g, length);
}

// ---- after cuDNN ----------------------------------------------------------------------------------------------------

KERNEL(MAP_THREADS) conv2d_finish(T* y, const T* bias, const T* time_bias, const T* residual, Conv2d g, float scale) {
  constexpr unsigned SIZE = Pack<T>::SIZE;
  const unsigned channels = g.k, area = g.p * g.q, length = g.n * area * channels, packs = length / SIZE;
  const unsigned threads = gridDim.x * blockDim.x, thread = blockIdx.x * blockDim.x + threadIdx.x;
  const Finish<T> finish{bias, time_bias, residual, scale};
  auto finished = [&](T sum, unsigned at) {
    const unsigned pixel = at / channels;
    return from_float<T>(finish(to_float(sum), pixel / area, at % channels, channels, at));
  };
  for (unsigned i = thread; i < packs; i += threads) {
    Pack<T> pack = reinterpret_cast<Pack<T>*>(y)[i];
#pragma unroll
    for (unsigned j = 0; j < SIZE; ++j) pack.at[j] = finished(pack.at[j], i * SIZE + j);
    reinterpret_cast<Pack<T>*>(y)[i] = pack;
  }
  for (unsigned at = packs * SIZE + thread; at < length; at += threads) y[at] = finished(y[at], at);
}
