// What the versions of group norm share: the formulas of a thread's channels, and tiles of rows by whole groups of
// channels.
#pragma once
#include "divide.cuh"
#include "piece.cuh"

constexpr int THREADS = 256;
constexpr int PACK = Pack<T>::SIZE;
// Groups of a tile, at most.
constexpr int GROUPS = 64;

__device__ __forceinline__ size_t group_size(const GroupNorm& g) { return g.c / g.groups; }

__device__ __forceinline__ float sigmoid(float x) {
  return gpu::approximate_reciprocal(1.0f + gpu::approximate_exp2(-1.44269504f * x));
}

// What the outputs of SIZE channels from c on, of sample n, are computed with: xhat = rstd x + offset.
template <int SIZE>
struct Channels {
  float rstd[SIZE], offset[SIZE], scale[SIZE], shift[SIZE];

  __device__ __forceinline__ Channels(const T* scales, const T* shifts, const GroupNorm& g, size_t n, size_t c) {
    const size_t at = g.per_sample ? n * g.c + c : c;
    const Piece<T, SIZE> a = load<SIZE>(scales + at), b = load<SIZE>(shifts + at);
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      scale[j] = to_float(a.at[j]);
      shift[j] = to_float(b.at[j]);
    }
  }

  // Fetches mean and rstd with stat(j, 0) and stat(j, 1).
  template <class F>
  __device__ __forceinline__ void statistics(F stat) {
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      rstd[j] = stat(j, 1);
      offset[j] = -stat(j, 0) * rstd[j];
    }
  }

  __device__ __forceinline__ Piece<T, SIZE> forward(Piece<T, SIZE> piece, bool silu) const {
    const Floats<SIZE> x = to_floats(piece);
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      const float u = scale[j] * rstd[j] * x.at[j] + (scale[j] * offset[j] + shift[j]);
      piece.at[j] = from_float<T>(silu ? u * sigmoid(u) : u);
    }
    return piece;
  }

  // xhat and du of channel j.
  __device__ __forceinline__ float2 backward(int j, float x, float dy, bool silu) const {
    const float xhat = rstd[j] * x + offset[j], u = scale[j] * xhat + shift[j], s = sigmoid(u);
    return make_float2(xhat, silu ? dy * s * (1.0f + u * (1.0f - s)) : dy);
  }
};

// dx = of_du du + of_x x + rest.
template <int SIZE>
struct InputGrad {
  float of_du[SIZE], of_x[SIZE], rest[SIZE];

  // Fetches m1 and m2 with mean(j, 0) and mean(j, 1).
  template <class F>
  __device__ __forceinline__ InputGrad(const Channels<SIZE>& of, F mean) {
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      of_du[j] = of.rstd[j] * of.scale[j];
      of_x[j] = -of.rstd[j] * of.rstd[j] * mean(j, 1);
      rest[j] = -of.rstd[j] * (mean(j, 0) + of.offset[j] * mean(j, 1));
    }
  }

  __device__ __forceinline__ T operator()(int j, float x, float du) const {
    return from_float<T>(of_du[j] * du + (of_x[j] * x + rest[j]));
  }
};

// A tile of sample n: `count` rows from chunk * chunk_rows on, channels first .. first + width. Threads stand side by
// side over the pieces of a row, then below each other; those that are left over have no row.
template <int SIZE>
struct Tile {
  size_t n, first, start;  // where this thread's first piece is
  unsigned count, width;
  unsigned pieces, rows;   // of a row; rows at a time
  unsigned row, channel;   // this thread's; the channel counts from `first`
  Divisor group_size;

  __device__ __forceinline__ Tile(const GroupNorm& g, const GroupTiles& t, size_t chunk, size_t chunk_rows)
      : n(blockIdx.x / t.across), first(size_t(blockIdx.x % t.across) * t.width), group_size(t.group_size) {
    const size_t begin = chunk * chunk_rows;
    count = static_cast<unsigned>(begin + chunk_rows < g.hw ? chunk_rows : g.hw - begin);
    width = static_cast<unsigned>(first + t.width < g.c ? t.width : g.c - first);
    pieces = width / SIZE;
    rows = THREADS / pieces;
    row = threadIdx.x / pieces;
    channel = threadIdx.x % pieces * SIZE;
    start = (n * g.hw + begin + row) * g.c + first + channel;
  }

  __device__ __forceinline__ unsigned groups() const { return width / group_size; }
  // The group of this thread's channel j, counted from the tile's first.
  __device__ __forceinline__ unsigned group(int j) const { return (channel + j) / group_size; }

  // f(where, row of the tile) for each of this thread's pieces.
  template <class F>
  __device__ __forceinline__ void for_pieces(const GroupNorm& g, F f) const {
    if (row >= rows) return;
    size_t where = start;
    for (unsigned r = row; r < count; r += rows, where += rows * g.c) f(where, r);
  }

  // Where this thread's piece of a row is in a tile in shared memory.
  __device__ __forceinline__ T* kept(T* tile, unsigned row) const { return tile + row * width + channel; }

  // Fetches this thread's pieces to shared memory, in the background if they are packs.
  __device__ __forceinline__ void fetch(const GroupNorm& g, T* tile, const T* x) const {
    for_pieces(g, [&](size_t where, unsigned row) {
      if constexpr (SIZE * sizeof(T) == 16) {
        gpu::cp_async16(kept(tile, row), x + where);
      } else {
        store(kept(tile, row), load<SIZE>(x + where));
      }
    });
  }

  // Adds up the threads' sums of COUNT / SIZE tables for each channel, which sum_of finds. `part` has COUNT * THREADS
  // numbers, neighbouring threads' side by side.
  template <int COUNT>
  __device__ __forceinline__ void add_rows(float* part, float (&sums)[COUNT]) const {
#pragma unroll
    for (int j = 0; j < COUNT; ++j) part[j * THREADS + threadIdx.x] = sums[j];
    __syncthreads();
    // Halves the rows until one is left; an odd one waits for its turn.
    for (unsigned left = rows; left > 1; left = (left + 1) / 2) {
      const unsigned half = (left + 1) / 2;
      if (row < left / 2) {
#pragma unroll
        for (int j = 0; j < COUNT; ++j) {
          float* sum = part + j * THREADS + threadIdx.x;
          *sum = sums[j] += sum[half * pieces];
        }
      }
      __syncthreads();
    }
  }
  static __device__ __forceinline__ float sum_of(const float* part, int table, unsigned c) {
    return part[(table * SIZE + c % SIZE) * THREADS + c / SIZE];
  }

  // of_group[i] = total(sum of value(channel) over group i of the tile), for all threads to read.
  template <class V, class F>
  __device__ __forceinline__ void add_channels(float* of_group, V value, F total) const {
    for (unsigned i = threadIdx.x; i < groups(); i += THREADS) {
      float sum = 0.0f;
#pragma unroll 4
      for (unsigned c = i * group_size.by; c < (i + 1) * group_size.by; ++c) sum += value(c);
      of_group[i] = total(sum);
    }
    __syncthreads();
  }

  // of_group[i] = total(all threads' sums over group i of the tile), a warp a group, for all threads to read. `part`
  // has SIZE * STEP numbers, in which threads that are a power of two apart have different banks.
  static constexpr int STEP = THREADS + THREADS / 32;
  template <class F>
  __device__ __forceinline__ void add_all(float* of_group, float* part, const float (&sums)[SIZE], F total) const {
    const auto place = [](unsigned thread) { return thread + thread / 32; };
#pragma unroll
    for (int j = 0; j < SIZE; ++j) part[j * STEP + place(threadIdx.x)] = sums[j];
    __syncthreads();
    const unsigned lane = threadIdx.x % 32;
    for (unsigned i = threadIdx.x / 32; i < groups(); i += THREADS / 32) {
      float sum = 0.0f;
      for (unsigned c = i * group_size.by; c < (i + 1) * group_size.by; ++c) {
#pragma unroll 4
        for (unsigned r = lane; r < rows; r += 32) sum += part[c % SIZE * STEP + place(r * pieces + c / SIZE)];
      }
      sum = gpu::warp_sum(sum);
      if (lane == 0) of_group[i] = total(sum);
    }
    __syncthreads();
  }
};

// The mean of each group of a tile, and the sum of squares about it. at(where, row) is a piece of x.
template <int SIZE, class F>
__device__ __forceinline__ void moments(const Tile<SIZE>& tile, const GroupNorm& g, float* part, float* mean,
                                        float* squares, F at) {
  const float count = static_cast<float>(size_t(tile.count) * tile.group_size.by);
  float sums[SIZE] = {};
  tile.for_pieces(g, [&](size_t where, unsigned row) {
    const Floats<SIZE> x = to_floats(at(where, row));
#pragma unroll
    for (int j = 0; j < SIZE; ++j) sums[j] += x.at[j];
  });
  tile.add_all(mean, part, sums, [=](float sum) { return sum / count; });
  float means[SIZE];
#pragma unroll
  for (int j = 0; j < SIZE; ++j) {
    means[j] = mean[tile.group(j)];
    sums[j] = 0.0f;
  }
  tile.for_pieces(g, [&](size_t where, unsigned row) {
    const Floats<SIZE> x = to_floats(at(where, row));
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      const float distance = x.at[j] - means[j];
      sums[j] += distance * distance;
    }
  });
  tile.add_all(squares, part, sums, [](float sum) { return sum; });
}
