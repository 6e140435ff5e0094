// What the versions of the convolution share: the matrices that it and its gradients are products of, gathered as
// share.cuh has it, and the last step of an output on its way to memory.
#pragma once
#include "divide.cuh"
#include "share.cuh"

// A place on one of two grids that are laid upon each other: x = offset + h, w of the one plus those of the other.
struct Place {
  long long offset;
  int h, w;
};
// A coordinate that leads out of every image, whatever is added to it or taken from it.
constexpr int OUTSIDE = -(1 << 29);

// x under the taps: pixels [N P Q] x filter [R S C], or the other way round if the filter is not the depth.
template <class N, bool FILTER_IS_DEPTH>
struct Patches {
  typedef N Number;
  typedef Place Line;
  typedef Place Depth;
  const N* x;
  const Conv2dIndex& g;
  unsigned lines, end;  // of the depths

  // Where x lies under the first tap, even if that is outside of the image.
  __device__ __forceinline__ Place pixel(unsigned at) const {
    const unsigned row = at / g.q, image = row / g.p;
    const int stride = static_cast<int>(g.stride.by);
    const int h = static_cast<int>(row - image * g.p.by) * stride - g.top;
    const int w = static_cast<int>(at - row * g.q.by) * stride - g.left;
    return {((static_cast<long long>(image) * g.h.by + h) * g.w.by + w) * g.c.by, h, w};
  }
  // From there to the tap.
  __device__ __forceinline__ Place tap(unsigned at) const {
    const unsigned tap = at / g.c, r = tap / g.s, s = tap - r * g.s.by;
    return {(r * g.w.by + s) * g.c.by + (at - tap * g.c.by), static_cast<int>(r), static_cast<int>(s)};
  }

  __device__ __forceinline__ Line line(unsigned i) const {
    if (i >= lines) i = 0;
    return FILTER_IS_DEPTH ? pixel(i) : tap(i);
  }
  __device__ __forceinline__ Depth depth(unsigned k) const {
    Place place = FILTER_IS_DEPTH ? tap(k) : pixel(k);
    if (k >= end) place.h = OUTSIDE;
    return place;
  }
  __device__ __forceinline__ bool find(const Line& line, const Depth& depth, const N*& from) const {
    from = x + (line.offset + depth.offset);
    return unsigned(line.h + depth.h) < g.h.by && unsigned(line.w + depth.w) < g.w.by;
  }
};

// dy of the output pixels that have an input pixel under a tap: pixels [N H W] x filters [R S K].
template <class N>
struct Reached {
  typedef N Number;
  typedef Place Line;
  typedef Place Depth;
  const N* dy;
  const Conv2dIndex& g;
  unsigned lines, end;

  // The output pixel for the first tap, times the stride.
  __device__ __forceinline__ Line line(unsigned i) const {
    if (i >= lines) i = 0;
    const unsigned row = i / g.w, image = row / g.h;
    return {static_cast<long long>(image) * g.p.by * g.q.by * g.k.by, static_cast<int>(row - image * g.h.by) + g.top,
            static_cast<int>(i - row * g.w.by) + g.left};
  }
  __device__ __forceinline__ Depth depth(unsigned at) const {
    const unsigned tap = at / g.k, r = tap / g.s;
    return {at - tap * g.k.by, at < end ? static_cast<int>(r) : -OUTSIDE, static_cast<int>(tap - r * g.s.by)};
  }
  __device__ __forceinline__ bool find(const Line& line, const Depth& depth, const N*& from) const {
    unsigned p = line.h - depth.h, q = line.w - depth.w;
    bool there = true;
    if (g.stride.by != 1) {
      const unsigned row = p / g.stride, column = q / g.stride;
      // A negative one is divided wrongly, and so found out.
      there = row * g.stride.by == p && column * g.stride.by == q;
      p = row, q = column;
    }
    from = dy + (line.offset + depth.offset + static_cast<long long>(p * g.q.by + q) * g.k.by);
    return there && p < g.p.by && q < g.q.by;
  }
};

// Filters [C] x [R S K], from w [K, R, S, C].
template <class N>
struct TurnedFilters {
  typedef N Number;
  typedef const N* Line;
  struct Depth {
    unsigned offset;
    bool there;
  };
  const N* w;
  const Conv2dIndex& g;
  unsigned lines, end;

  __device__ __forceinline__ Line line(unsigned i) const { return w + (i < lines ? i : 0); }
  __device__ __forceinline__ Depth depth(unsigned at) const {
    const unsigned tap = at / g.k;
    return {((at - tap * g.k.by) * g.r * g.s.by + tap) * g.c.by, at < end};
  }
  __device__ __forceinline__ bool find(const Line& line, const Depth& depth, const N*& from) const {
    from = line + depth.offset;
    return depth.there;
  }
};

// A matrix that lies in memory: filters [K] x [R S C], or dy [K] x [N P Q].
template <class N>
struct Dense {
  typedef N Number;
  typedef const N* Line;
  struct Depth {
    size_t offset;
    bool there;
  };
  const N* x;
  unsigned lines, end, line_step, depth_step;

  __device__ __forceinline__ Line line(unsigned i) const { return x + size_t(i < lines ? i : 0) * line_step; }
  __device__ __forceinline__ Depth depth(unsigned k) const { return {size_t(k) * depth_step, k < end}; }
  __device__ __forceinline__ bool find(const Line& line, const Depth& depth, const N*& from) const {
    from = line + depth.offset;
    return depth.there;
  }
};

// What is added to an output on its way to memory; null where there is none.
template <class N>
struct Finish {
  const N *bias, *time_bias, *residual;
  float scale;

  // The output number `at`, of an image and a channel.
  __device__ __forceinline__ float operator()(float sum, size_t image, size_t channel, size_t channels,
                                              size_t at) const {
    if (bias) sum += to_float(bias[channel]);
    if (time_bias) sum += to_float(time_bias[image * channels + channel]);
    if (residual) sum += to_float(residual[at]);
    return sum * scale;
  }
};
