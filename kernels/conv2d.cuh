// What the versions of the convolution share: who meets whom, and the last step on the way to memory.
#pragma once
#include "gpu.cuh"

// A pixel of an image, and a place in a filter.
struct Pixel {
  int n, h, w;
};
struct Tap {
  int r, s, c;
};

__device__ __forceinline__ Pixel pixel_of(unsigned at, unsigned height, unsigned width) {
  const unsigned line = at / width;
  return {static_cast<int>(line / height), static_cast<int>(line % height), static_cast<int>(at % width)};
}
__device__ __forceinline__ Tap tap_of(unsigned at, const Conv2d& g, unsigned channels) {
  const unsigned tap = at / channels, s = static_cast<unsigned>(g.s);
  return {static_cast<int>(tap / s), static_cast<int>(tap % s), static_cast<int>(at % channels)};
}

// Where x lies under a tap of output pixel (n, p, q); -1 outside of the image.
__device__ __forceinline__ long long input_under(const Conv2d& g, Pixel y, Tap tap) {
  const int stride = static_cast<int>(g.stride), height = static_cast<int>(g.h), width = static_cast<int>(g.w);
  const int h = y.h * stride + tap.r - static_cast<int>(g.pad[0]), w = y.w * stride + tap.s - static_cast<int>(g.pad[2]);
  if (h < 0 || h >= height || w < 0 || w >= width) return -1;
  return (static_cast<long long>(y.n * height + h) * width + w) * static_cast<long long>(g.c) + tap.c;
}

// Where dy lies for the output pixel that has input pixel (n, h, w) under a tap, channel tap.c; -1 if there is none.
__device__ __forceinline__ long long output_over(const Conv2d& g, Pixel x, Tap tap) {
  const int stride = static_cast<int>(g.stride), height = static_cast<int>(g.p), width = static_cast<int>(g.q);
  const int p = x.h + static_cast<int>(g.pad[0]) - tap.r, q = x.w + static_cast<int>(g.pad[2]) - tap.s;
  if (p < 0 || p % stride != 0 || p / stride >= height || q < 0 || q % stride != 0 || q / stride >= width) return -1;
  return (static_cast<long long>(x.n * height + p / stride) * width + q / stride) * static_cast<long long>(g.k) + tap.c;
}

// What is added to an output on its way to memory; null where there is none.
template <class N>
struct Finish {
  const N *bias, *time_bias, *residual;
  float scale;

  // The output number `at`, of image n and channel k.
  __device__ __forceinline__ float operator()(float sum, size_t n, size_t k, size_t channels, size_t at) const {
    if (bias) sum += to_float(bias[k]);
    if (time_bias) sum += to_float(time_bias[n * channels + k]);
    if (residual) sum += to_float(residual[at]);
    return sum * scale;
  }
};
