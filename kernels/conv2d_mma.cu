// The convolution and its gradients (conv2d.cu) as implicit products of matrices on tensor cores, in bf16. The channels
// that are loaded come in whole packs of 16 bytes: C for the output; C and K for the gradients.
//
// v3: tiles of 64 x 64, which keep a GPU busy where there is not much to do.
// v4: tiles of 128 x 128, which reuse twice as much of what they load, where there are enough of them.
#include "conv2d.cuh"
#include "mma.cuh"

constexpr int LARGE_THREADS = 256;
constexpr int SMALL_THREADS = 128;

template <bool A_BY_K, bool B_BY_K>
struct Large : Mma<128, 128, 2, 4, A_BY_K, B_BY_K> {
  static constexpr int SIZE = 128;
};
template <bool A_BY_K, bool B_BY_K>
struct Small : Mma<64, 64, 2, 2, A_BY_K, B_BY_K> {
  static constexpr int SIZE = 64;
};

__device__ __forceinline__ const bf16* at_or_null(const bf16* x, long long at) { return at < 0 ? nullptr : x + at; }

// Two neighbours of a row that begins at an even place if its length is even.
__device__ __forceinline__ void store_pair(bf16* y, size_t at, unsigned n, unsigned n_size, float2 pair) {
  if (n + 1 < n_size && n_size % 2 == 0) {
    *reinterpret_cast<__nv_bfloat162*>(y + at) = __floats2bfloat162_rn(pair.x, pair.y);
  } else {
    if (n < n_size) y[at] = from_float<bf16>(pair.x);
    if (n + 1 < n_size) y[at + 1] = from_float<bf16>(pair.y);
  }
}

// Blocks (tiles of N P Q, tiles of K).
template <class Tiles>
__device__ __forceinline__ void forward(bf16* y, const bf16* x, const bf16* w, const Finish<bf16>& finish,
                                        const Conv2d& g, bf16* shared) {
  const unsigned pixels = g.n * g.p * g.q, taps = g.r * g.s * g.c, channels = g.k;
  Tiles::multiply(
      shared, blockIdx.x * Tiles::SIZE, blockIdx.y * Tiles::SIZE, 0, taps, x,
      [&](unsigned m, unsigned k) -> const bf16* {
        if (m >= pixels || k >= taps) return nullptr;
        return at_or_null(x, input_under(g, pixel_of(m, g.p, g.q), tap_of(k, g, g.c)));
      },
      [&](unsigned n, unsigned k) { return n < channels && k < taps ? w + size_t(n) * taps + k : nullptr; },
      [&](unsigned m, unsigned n, float2 sums) {
        if (m >= pixels || n >= channels) return;
        const size_t at = size_t(m) * channels + n, image = m / (g.p * g.q);
        sums.x = finish(sums.x, image, n, channels, at);
        if (n + 1 < channels) sums.y = finish(sums.y, image, n + 1, channels, at + 1);
        store_pair(y, at, n, channels, sums);
      });
}

KERNEL(LARGE_THREADS) conv2d_forward_large(bf16* y, const bf16* x, const bf16* w, const bf16* bias,
                                           const bf16* time_bias, const bf16* residual, Conv2d g, float scale) {
  DYN_SMEM(bf16, shared);
  forward<Large<true, true>>(y, x, w, {bias, time_bias, residual, scale}, g, shared);
}
KERNEL(SMALL_THREADS) conv2d_forward_small(bf16* y, const bf16* x, const bf16* w, const bf16* bias,
                                           const bf16* time_bias, const bf16* residual, Conv2d g, float scale) {
  DYN_SMEM(bf16, shared);
  forward<Small<true, true>>(y, x, w, {bias, time_bias, residual, scale}, g, shared);
}

// Blocks (tiles of N H W, tiles of C).
template <class Tiles>
__device__ __forceinline__ void input_grad(bf16* dx, const bf16* dy, const bf16* w, const Conv2d& g, bf16* shared) {
  const unsigned pixels = g.n * g.h * g.w, taps = g.r * g.s * g.k, channels = g.c;
  Tiles::multiply(
      shared, blockIdx.x * Tiles::SIZE, blockIdx.y * Tiles::SIZE, 0, taps, dy,
      [&](unsigned m, unsigned k) -> const bf16* {
        if (m >= pixels || k >= taps) return nullptr;
        return at_or_null(dy, output_over(g, pixel_of(m, g.h, g.w), tap_of(k, g, g.k)));
      },
      [&](unsigned n, unsigned k) -> const bf16* {
        if (n >= channels || k >= taps) return nullptr;
        const Tap tap = tap_of(k, g, g.k);
        return w + ((tap.c * g.r + tap.r) * g.s + tap.s) * channels + n;
      },
      [&](unsigned m, unsigned n, float2 sums) {
        if (m < pixels && n < channels) store_pair(dx, size_t(m) * channels + n, n, channels, sums);
      });
}

KERNEL(LARGE_THREADS) conv2d_input_grad_large(bf16* dx, const bf16* dy, const bf16* w, Conv2d g) {
  DYN_SMEM(bf16, shared);
  input_grad<Large<true, false>>(dx, dy, w, g, shared);
}
KERNEL(SMALL_THREADS) conv2d_input_grad_small(bf16* dx, const bf16* dy, const bf16* w, Conv2d g) {
  DYN_SMEM(bf16, shared);
  input_grad<Small<true, false>>(dx, dy, w, g, shared);
}

// parts [parts, K, R S C], each the sum over `length` pixels. Blocks (tiles of R S C, tiles of K, parts).
template <class Tiles>
__device__ __forceinline__ void weight_grad(float* parts, const bf16* x, const bf16* dy, const Conv2d& g,
                                            unsigned length, bf16* shared) {
  const unsigned pixels = g.n * g.p * g.q, taps = g.r * g.s * g.c, channels = g.k;
  const unsigned begin = blockIdx.z * length, end = min(begin + length, pixels);
  Tiles::multiply(
      shared, blockIdx.y * Tiles::SIZE, blockIdx.x * Tiles::SIZE, begin, end, x,
      [&](unsigned m, unsigned k) { return m < channels && k < end ? dy + size_t(k) * channels + m : nullptr; },
      [&](unsigned n, unsigned k) -> const bf16* {
        if (n >= taps || k >= end) return nullptr;
        return at_or_null(x, input_under(g, pixel_of(k, g.p, g.q), tap_of(n, g, g.c)));
      },
      [&](unsigned m, unsigned n, float2 sums) {
        if (m >= channels || n >= taps) return;
        *reinterpret_cast<float2*>(parts + (size_t(blockIdx.z) * channels + m) * taps + n) = sums;
      });
}

KERNEL(LARGE_THREADS) conv2d_weight_grad_large(float* parts, const bf16* x, const bf16* dy, Conv2d g,
                                               unsigned length) {
  DYN_SMEM(bf16, shared);
  weight_grad<Large<false, false>>(parts, x, dy, g, length, shared);
}
KERNEL(SMALL_THREADS) conv2d_weight_grad_small(float* parts, const bf16* x, const bf16* dy, Conv2d g,
                                               unsigned length) {
  DYN_SMEM(bf16, shared);
  weight_grad<Small<false, false>>(parts, x, dy, g, length, shared);
}
