// The convolution and its gradients (conv2d.cu) as implicit products of matrices on tensor cores, in bf16. The channels
// that are loaded come in whole packs of 16 bytes: C for the output; C and K for the gradients.
//
// v3: tiles of 64 x 64, which keep a GPU busy where there is not much to do.
// v4: tiles of 128 x 128, which reuse twice as much of what they load, where there are enough of them.
#include "conv2d.cuh"
#include "mma.cuh"

constexpr int LARGE_THREADS = 128;
constexpr int SMALL_THREADS = 128;

// 64 x 64 of them for each warp: what is loaded from shared memory is used as often as registers allow.
template <bool A_BY_K, bool B_BY_K>
struct Large : Mma<128, 128, 2, 2, A_BY_K, B_BY_K> {
  static constexpr int SIZE = 128;
};
template <bool A_BY_K, bool B_BY_K>
struct Small : Mma<64, 64, 2, 2, A_BY_K, B_BY_K> {
  static constexpr int SIZE = 64;
};

// Neighbours of a row, from number `at` on: 16 bytes if rows consist of whole packs, else one by one as far as the row
// goes.
struct Neighbours {
  size_t at;
  unsigned count;
  bool whole;

  __device__ __forceinline__ Neighbours(unsigned row, unsigned column, unsigned length)
      : at(size_t(row) * length + column), count(min(length - column, unsigned(CHUNK))), whole(length % CHUNK == 0) {}

  __device__ __forceinline__ void add(Run& sums, const bf16* x) const {
    if (whole) {
      const Run terms = to_floats(load<CHUNK>(x + at));
#pragma unroll
      for (int i = 0; i < CHUNK; ++i) sums.at[i] += terms.at[i];
    } else {
#pragma unroll
      for (unsigned i = 0; i < CHUNK; ++i) sums.at[i] += i < count ? to_float(x[at + i]) : 0.0f;
    }
  }
  __device__ __forceinline__ void store(bf16* y, const Run& sums) const {
    if (whole) {
      ::store(y + at, from_floats<bf16>(sums));
    } else {
#pragma unroll
      for (unsigned i = 0; i < CHUNK; ++i) {
        if (i < count) y[at + i] = from_float<bf16>(sums.at[i]);
      }
    }
  }
};

// Blocks (tiles of N P Q, tiles of K).
template <class Tiles>
__device__ __forceinline__ void forward(bf16* y, const bf16* x, const bf16* w, const Finish<bf16>& finish,
                                        const Conv2dIndex& g, bf16* shared) {
  const unsigned pixels = g.n * g.p.by * g.q.by, taps = g.r * g.s.by * g.c.by, channels = g.k.by;
  Tiles::multiply(
      shared, blockIdx.x * Tiles::SIZE, blockIdx.y * Tiles::SIZE, 0, taps, Patches<bf16, true>{x, g, pixels, taps},
      Dense<bf16>{w, channels, taps, taps, 1}, [&](unsigned m, unsigned n, Run& sums) {
        if (m >= pixels || n >= channels) return;
        const Neighbours outputs(m, n, channels);
        if (finish.bias) Neighbours(0, n, channels).add(sums, finish.bias);
        if (finish.time_bias) Neighbours(m / g.q / g.p, n, channels).add(sums, finish.time_bias);
        if (finish.residual) outputs.add(sums, finish.residual);
#pragma unroll
        for (int i = 0; i < CHUNK; ++i) sums.at[i] *= finish.scale;
        outputs.store(y, sums);
      });
}

KERNEL(LARGE_THREADS) conv2d_forward_large(bf16* y, const bf16* x, const bf16* w, const bf16* bias,
                                           const bf16* time_bias, const bf16* residual, Conv2dIndex g, float scale) {
  DYN_SMEM(bf16, shared);
  forward<Large<true, true>>(y, x, w, {bias, time_bias, residual, scale}, g, shared);
}
KERNEL(SMALL_THREADS) conv2d_forward_small(bf16* y, const bf16* x, const bf16* w, const bf16* bias,
                                           const bf16* time_bias, const bf16* residual, Conv2dIndex g, float scale) {
  DYN_SMEM(bf16, shared);
  forward<Small<true, true>>(y, x, w, {bias, time_bias, residual, scale}, g, shared);
}

// Blocks (tiles of N H W, tiles of C).
template <class Tiles>
__device__ __forceinline__ void input_grad(bf16* dx, const bf16* dy, const bf16* w, const Conv2dIndex& g,
                                           bf16* shared) {
  const unsigned pixels = g.n * g.h.by * g.w.by, taps = g.r * g.s.by * g.k.by, channels = g.c.by;
  Tiles::multiply(shared, blockIdx.x * Tiles::SIZE, blockIdx.y * Tiles::SIZE, 0, taps,
                  Reached<bf16>{dy, g, pixels, taps}, TurnedFilters<bf16>{w, g, channels, taps},
                  [&](unsigned m, unsigned n, const Run& sums) {
                    if (m < pixels && n < channels) Neighbours(m, n, channels).store(dx, sums);
                  });
}

KERNEL(LARGE_THREADS) conv2d_input_grad_large(bf16* dx, const bf16* dy, const bf16* w, Conv2dIndex g) {
  DYN_SMEM(bf16, shared);
  input_grad<Large<true, false>>(dx, dy, w, g, shared);
}
KERNEL(SMALL_THREADS) conv2d_input_grad_small(bf16* dx, const bf16* dy, const bf16* w, Conv2dIndex g) {
  DYN_SMEM(bf16, shared);
  input_grad<Small<true, false>>(dx, dy, w, g, shared);
}

// parts [parts, K, R S C], each the sum over `length` pixels. Blocks (tiles of R S C, tiles of K, parts).
template <class Tiles>
__device__ __forceinline__ void weight_grad(float* parts, const bf16* x, const bf16* dy, const Conv2dIndex& g,
                                            unsigned length, bf16* shared) {
  const unsigned pixels = g.n * g.p.by * g.q.by, taps = g.r * g.s.by * g.c.by, channels = g.k.by;
  const unsigned begin = blockIdx.z * length, end = min(begin + length, pixels);
  Tiles::multiply(shared, blockIdx.y * Tiles::SIZE, blockIdx.x * Tiles::SIZE, begin, end,
                  Dense<bf16>{dy, channels, end, 1, channels}, Patches<bf16, false>{x, g, taps, end},
                  [&](unsigned m, unsigned n, const Run& sums) {
                    if (m >= channels || n >= taps) return;
                    store(parts + (size_t(blockIdx.z) * channels + m) * taps + n, from_floats<float>(sums));
                  });
}

KERNEL(LARGE_THREADS) conv2d_weight_grad_large(float* parts, const bf16* x, const bf16* dy, Conv2dIndex g,
                                               unsigned length) {
  DYN_SMEM(bf16, shared);
  weight_grad<Large<false, false>>(parts, x, dy, g, length, shared);
}
KERNEL(SMALL_THREADS) conv2d_weight_grad_small(float* parts, const bf16* x, const bf16* dy, Conv2dIndex g,
                                               unsigned length) {
  DYN_SMEM(bf16, shared);
  weight_grad<Small<false, false>>(parts, x, dy, g, length, shared);
}
