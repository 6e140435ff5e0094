// Group norm of x [N, HW, C] with a scale and shift for each channel (of each sample, if wanted) and SiLU:
//   xhat = (x - mean) rstd, u = scale xhat + shift, y = silu(u) or u,
// mean and rstd = 1 / sqrt(variance + eps) of each group of channels of a sample, kept in stats [N, G, 2].
// Backward, with du = dy silu'(u):
//   dshift = sum over HW of du, dscale = sum over HW of du xhat                                [N, C],
//   dx = rstd (scale du - m1 - xhat m2), m1 and m2 the means of scale du and scale du xhat over the group.
//
// v1: one thread for all sums of a group; one thread an output.
// v2: three launches: sums of chunks of rows, their sums, outputs; for groups of any size.
// v3: one launch: a block keeps a tile in shared memory, all rows by whole groups of channels of a sample, and reads
//     each input once. Where the tile fits.
// Sums are added in an order that depends on the sizes alone.
#include "gpu.cuh"

constexpr int THREADS = 256;
// Groups of a tile, at most.
constexpr int GROUPS = 64;

// Neighbouring numbers of a row, moved at once: 16 bytes where C has whole packs of them, else one.
template <int SIZE>
struct alignas(SIZE * sizeof(T)) Run {
  T at[SIZE];
};
constexpr int PACK = 16 / sizeof(T);

__device__ __forceinline__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

// What the outputs of SIZE channels from c on, of sample n, are computed with.
template <int SIZE>
struct Channels {
  float mean[SIZE], rstd[SIZE], scale[SIZE], shift[SIZE];

  __device__ __forceinline__ Channels(const T* scales, const T* shifts, const GroupNorm& g, size_t n, size_t c) {
    const size_t at = g.per_sample ? n * g.c + c : c;
    const Run<SIZE> a = *reinterpret_cast<const Run<SIZE>*>(scales + at);
    const Run<SIZE> b = *reinterpret_cast<const Run<SIZE>*>(shifts + at);
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
      mean[j] = stat(j, 0);
      rstd[j] = stat(j, 1);
    }
  }

  __device__ __forceinline__ Run<SIZE> forward(const Run<SIZE>& x, bool silu) const {
    Run<SIZE> y;
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      const float u = scale[j] * ((to_float(x.at[j]) - mean[j]) * rstd[j]) + shift[j];
      y.at[j] = from_float<T>(silu ? u * sigmoid(u) : u);
    }
    return y;
  }

  // xhat and du of channel j.
  __device__ __forceinline__ float2 backward(int j, T x, T dy, bool silu) const {
    const float xhat = (to_float(x) - mean[j]) * rstd[j], u = scale[j] * xhat + shift[j], s = sigmoid(u);
    return make_float2(xhat, silu ? to_float(dy) * s * (1.0f + u * (1.0f - s)) : to_float(dy));
  }

  __device__ __forceinline__ Run<SIZE> input_grad(const Run<SIZE>& x, const Run<SIZE>& dy, const float (&m1)[SIZE],
                                                  const float (&m2)[SIZE], bool silu) const {
    Run<SIZE> dx;
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      const float2 b = backward(j, x.at[j], dy.at[j], silu);
      dx.at[j] = from_float<T>(rstd[j] * (scale[j] * b.y - m1[j] - b.x * m2[j]));
    }
    return dx;
  }
};

// ---- v1 -------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ size_t group_size(const GroupNorm& g) { return g.c / g.groups; }

// f(element, channel) for all of a group, number n * groups + its own.
template <class F>
__device__ __forceinline__ void for_group(const GroupNorm& g, size_t group, F f) {
  const size_t n = group / g.groups, first = group % g.groups * group_size(g);
  for (size_t c = first; c < first + group_size(g); ++c) {
    for (size_t i = 0; i < g.hw; ++i) f((n * g.hw + i) * g.c + c, c);
  }
}

KERNEL(THREADS) group_norm_stats_v1(float* stats, const T* x, GroupNorm g) {
  const size_t group = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (group >= g.n * g.groups) return;
  const float count = static_cast<float>(g.hw * group_size(g));
  float sum = 0.0f, squares = 0.0f;
  for_group(g, group, [&](size_t i, size_t) { sum += to_float(x[i]); });
  const float mean = sum / count;
  for_group(g, group, [&](size_t i, size_t) { squares += (to_float(x[i]) - mean) * (to_float(x[i]) - mean); });
  stats[2 * group] = mean;
  stats[2 * group + 1] = 1.0f / sqrtf(squares / count + static_cast<float>(g.eps));
}

// f(where, n, channel) for each run of x [N, HW, C].
template <int SIZE, class F>
__device__ __forceinline__ void for_runs(const GroupNorm& g, F f) {
  const size_t runs = g.c / SIZE, threads = size_t(gridDim.x) * THREADS;
  for (size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x; i < g.n * g.hw * runs; i += threads) {
    f(i, i / (g.hw * runs), i % runs * SIZE);
  }
}

template <int SIZE>
__device__ __forceinline__ void outputs(T* y, const T* x, const T* scale, const T* shift, const float* stats,
                                        const GroupNorm& g) {
  for_runs<SIZE>(g, [&](size_t i, size_t n, size_t c) {
    Channels<SIZE> channels(scale, shift, g, n, c);
    channels.statistics([&](int j, int k) { return stats[2 * (n * g.groups + (c + j) / group_size(g)) + k]; });
    reinterpret_cast<Run<SIZE>*>(y)[i] = channels.forward(reinterpret_cast<const Run<SIZE>*>(x)[i], g.silu);
  });
}

KERNEL(THREADS) group_norm_forward_v1(T* y, const T* x, const T* scale, const T* shift, const float* stats,
                                      GroupNorm g) {
  outputs<1>(y, x, scale, shift, stats, g);
}

// dscale and dshift [N, C]; means [N, G, 2] are m1 and m2.
KERNEL(THREADS) group_norm_sums_v1(T* dscale, T* dshift, float* means, const T* x, const T* scale, const T* shift,
                                   const float* stats, const T* dy, GroupNorm g) {
  const size_t group = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (group >= g.n * g.groups) return;
  const size_t n = group / g.groups, last = (group % g.groups + 1) * group_size(g);
  const float count = static_cast<float>(g.hw * group_size(g));
  float m1 = 0.0f, m2 = 0.0f;
  for (size_t c = last - group_size(g); c < last; ++c) {
    Channels<1> channel(scale, shift, g, n, c);
    channel.statistics([&](int, int k) { return stats[2 * group + k]; });
    float sum = 0.0f, sum_xhat = 0.0f;
    for (size_t i = 0; i < g.hw; ++i) {
      const size_t at = (n * g.hw + i) * g.c + c;
      const float2 b = channel.backward(0, x[at], dy[at], g.silu);
      sum += b.y;
      sum_xhat += b.y * b.x;
    }
    dshift[n * g.c + c] = from_float<T>(sum);
    dscale[n * g.c + c] = from_float<T>(sum_xhat);
    m1 += channel.scale[0] * sum / count;
    m2 += channel.scale[0] * sum_xhat / count;
  }
  means[2 * group] = m1;
  means[2 * group + 1] = m2;
}

template <int SIZE>
__device__ __forceinline__ void input_grads(T* dx, const T* x, const T* scale, const T* shift, const float* stats,
                                            const float* means, const T* dy, const GroupNorm& g) {
  for_runs<SIZE>(g, [&](size_t i, size_t n, size_t c) {
    Channels<SIZE> channels(scale, shift, g, n, c);
    const auto of_group = [&](const float* table, int j, int k) {
      return table[2 * (n * g.groups + (c + j) / group_size(g)) + k];
    };
    channels.statistics([&](int j, int k) { return of_group(stats, j, k); });
    float m1[SIZE], m2[SIZE];
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      m1[j] = of_group(means, j, 0);
      m2[j] = of_group(means, j, 1);
    }
    reinterpret_cast<Run<SIZE>*>(dx)[i] = channels.input_grad(
        reinterpret_cast<const Run<SIZE>*>(x)[i], reinterpret_cast<const Run<SIZE>*>(dy)[i], m1, m2, g.silu);
  });
}

KERNEL(THREADS) group_norm_backward_v1(T* dx, const T* x, const T* scale, const T* shift, const float* stats,
                                       const float* means, const T* dy, GroupNorm g) {
  input_grads<1>(dx, x, scale, shift, stats, means, dy, g);
}

// ---- Tiles: rows by whole groups of channels ------------------------------------------------------------------------

// A tile of sample n: rows begin .. end, channels first .. first + width. Threads stand side by side over the runs of a
// row, then below each other; those that are left over have no row.
template <int SIZE>
struct Tile {
  size_t n, first, begin, end;
  int width, rows;    // channels; rows at a time
  int row, channel;   // this thread's; the channel counts from `first`

  __device__ __forceinline__ Tile(const GroupNorm& g, int widest, size_t tile, size_t chunk, size_t chunk_rows) {
    const size_t tiles = (g.c + widest - 1) / widest;
    n = tile / tiles;
    first = tile % tiles * widest;
    width = static_cast<int>(g.c - first < size_t(widest) ? g.c - first : widest);
    begin = chunk * chunk_rows;
    end = begin + chunk_rows < g.hw ? begin + chunk_rows : g.hw;
    const int runs = width / SIZE;
    rows = THREADS / runs;
    row = threadIdx.x / runs;
    channel = threadIdx.x % runs * SIZE;
  }

  // f(where, row of the tile) for each of this thread's runs.
  template <class F>
  __device__ __forceinline__ void for_runs(const GroupNorm& g, F f) const {
    if (row >= rows) return;
    for (size_t r = begin + row; r < end; r += rows) f((n * g.hw + r) * g.c + first + channel, static_cast<int>(r - begin));
  }

  // Adds up the threads' sums for each channel: part[channel] in the end. `part` has THREADS * SIZE numbers, and who
  // reads them waits for the others before the next call.
  __device__ __forceinline__ void add_rows(float* part, const float (&sums)[SIZE]) const {
    if (row < rows) {
#pragma unroll
      for (int j = 0; j < SIZE; ++j) part[row * width + channel + j] = sums[j];
    }
    __syncthreads();
    // Halves the rows until one is left; an odd one waits for its turn.
    for (int left = rows; left > 1; left = (left + 1) / 2) {
      const int half = (left + 1) / 2;
      if (row < left / 2) {
#pragma unroll
        for (int j = 0; j < SIZE; ++j) part[row * width + channel + j] += part[(row + half) * width + channel + j];
      }
      __syncthreads();
    }
  }

  // of_group[i] = total(sum of value(channel) over group i of the tile), for all threads to read.
  template <class V, class F>
  __device__ __forceinline__ void add_groups(float* of_group, int size, V value, F total) const {
    for (int i = threadIdx.x; i < width / size; i += THREADS) {
      float sum = 0.0f;
      for (int c = i * size; c < (i + 1) * size; ++c) sum += value(c);
      of_group[i] = total(sum);
    }
    __syncthreads();
  }
};

// The mean of each group of a tile, and the sum of squares about it. at(where, row) is a run of x.
template <int SIZE, class F>
__device__ __forceinline__ void moments(const Tile<SIZE>& tile, const GroupNorm& g, float* part, float* mean,
                                        float* squares, F at) {
  const int size = static_cast<int>(group_size(g));
  const float count = static_cast<float>((tile.end - tile.begin) * size);
  float sums[SIZE] = {};
  tile.for_runs(g, [&](size_t where, int row) {
    const Run<SIZE> x = at(where, row);
#pragma unroll
    for (int j = 0; j < SIZE; ++j) sums[j] += to_float(x.at[j]);
  });
  tile.add_rows(part, sums);
  tile.add_groups(mean, size, [&](int c) { return part[c]; }, [&](float sum) { return sum / count; });
  float means[SIZE];
#pragma unroll
  for (int j = 0; j < SIZE; ++j) {
    means[j] = mean[(tile.channel + j) / size];
    sums[j] = 0.0f;
  }
  tile.for_runs(g, [&](size_t where, int row) {
    const Run<SIZE> x = at(where, row);
#pragma unroll
    for (int j = 0; j < SIZE; ++j) sums[j] += (to_float(x.at[j]) - means[j]) * (to_float(x.at[j]) - means[j]);
  });
  tile.add_rows(part, sums);
  tile.add_groups(squares, size, [&](int c) { return part[c]; }, [](float sum) { return sum; });
}

// ---- v2 -------------------------------------------------------------------------------------------------------------

// parts [N, chunks, G, 2]: mean and sum of squares about it of each chunk of rows. Blocks (tiles, chunks).
template <int SIZE>
__device__ __forceinline__ void chunk_moments(float* parts, const T* x, const GroupNorm& g, int widest,
                                              size_t chunk_rows) {
  __shared__ float part[THREADS * SIZE], mean[GROUPS], squares[GROUPS];
  const Tile<SIZE> tile(g, widest, blockIdx.x, blockIdx.y, chunk_rows);
  moments(tile, g, part, mean, squares,
          [=](size_t where, int) { return *reinterpret_cast<const Run<SIZE>*>(x + where); });
  float* to = parts + 2 * ((tile.n * gridDim.y + blockIdx.y) * g.groups + tile.first / group_size(g));
  for (int i = threadIdx.x; i < tile.width / static_cast<int>(group_size(g)); i += THREADS) {
    to[2 * i] = mean[i];
    to[2 * i + 1] = squares[i];
  }
}

KERNEL(THREADS) group_norm_chunks(float* parts, const T* x, GroupNorm g, int widest, size_t chunk_rows) {
  chunk_moments<1>(parts, x, g, widest, chunk_rows);
}
KERNEL(THREADS) group_norm_chunks_packed(float* parts, const T* x, GroupNorm g, int widest, size_t chunk_rows) {
  chunk_moments<PACK>(parts, x, g, widest, chunk_rows);
}

// The chunks' moments together (Chan, Golub and LeVeque, 1979): the sum of squares about the common mean is that about
// the chunks' own, and of the distances of these. A thread a group.
KERNEL(THREADS) group_norm_stats(float* stats, const float* parts, GroupNorm g, size_t chunks, size_t chunk_rows) {
  const size_t group = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (group >= g.n * g.groups) return;
  const float* of_group = parts + 2 * (group / g.groups * chunks * g.groups + group % g.groups);
  const auto rows = [&](size_t i) {
    return static_cast<float>(i + 1 < chunks ? chunk_rows : g.hw - i * chunk_rows);
  };
  float mean = 0.0f, squares = 0.0f;
  for (size_t i = 0; i < chunks; ++i) mean += rows(i) / static_cast<float>(g.hw) * of_group[2 * i * g.groups];
  for (size_t i = 0; i < chunks; ++i) {
    const float distance = of_group[2 * i * g.groups] - mean;
    squares += of_group[2 * i * g.groups + 1] + rows(i) * static_cast<float>(group_size(g)) * distance * distance;
  }
  const float count = static_cast<float>(g.hw * group_size(g));
  stats[2 * group] = mean;
  stats[2 * group + 1] = 1.0f / sqrtf(squares / count + static_cast<float>(g.eps));
}

KERNEL(THREADS) group_norm_forward_packed(T* y, const T* x, const T* scale, const T* shift, const float* stats,
                                          GroupNorm g) {
  outputs<PACK>(y, x, scale, shift, stats, g);
}

template <int SIZE>
struct Both {
  Run<SIZE> x, dy;
};

// The sums of du and du xhat over the rows of a tile: part0[channel] and part1[channel]. at(where, row) is x and dy.
template <int SIZE, class F>
__device__ __forceinline__ void gradient_sums(const Tile<SIZE>& tile, const Channels<SIZE>& channels,
                                              const GroupNorm& g, float* part0, float* part1, F at) {
  float sums[SIZE] = {}, sums_xhat[SIZE] = {};
  tile.for_runs(g, [&](size_t where, int row) {
    const Both<SIZE> both = at(where, row);
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      const float2 b = channels.backward(j, both.x.at[j], both.dy.at[j], g.silu);
      sums[j] += b.y;
      sums_xhat[j] += b.y * b.x;
    }
  });
  tile.add_rows(part0, sums);
  tile.add_rows(part1, sums_xhat);
}

// parts [N, chunks, C, 2]: sums of du and of du xhat over each chunk of rows. Blocks (tiles, chunks).
template <int SIZE>
__device__ __forceinline__ void chunk_gradients(float* parts, const T* x, const T* scale, const T* shift,
                                                const float* stats, const T* dy, const GroupNorm& g, int widest,
                                                size_t chunk_rows) {
  __shared__ float part0[THREADS * SIZE], part1[THREADS * SIZE];
  const Tile<SIZE> tile(g, widest, blockIdx.x, blockIdx.y, chunk_rows);
  const size_t channel = tile.first + tile.channel;
  Channels<SIZE> channels(scale, shift, g, tile.n, channel);
  channels.statistics(
      [&](int j, int k) { return stats[2 * (tile.n * g.groups + (channel + j) / group_size(g)) + k]; });
  gradient_sums(tile, channels, g, part0, part1, [=](size_t where, int) -> Both<SIZE> {
    return {*reinterpret_cast<const Run<SIZE>*>(x + where), *reinterpret_cast<const Run<SIZE>*>(dy + where)};
  });
  float* to = parts + 2 * ((tile.n * gridDim.y + blockIdx.y) * g.c + tile.first);
  for (int c = threadIdx.x; c < tile.width; c += THREADS) {
    to[2 * c] = part0[c];
    to[2 * c + 1] = part1[c];
  }
}

KERNEL(THREADS) group_norm_gradient_chunks(float* parts, const T* x, const T* scale, const T* shift,
                                           const float* stats, const T* dy, GroupNorm g, int widest,
                                           size_t chunk_rows) {
  chunk_gradients<1>(parts, x, scale, shift, stats, dy, g, widest, chunk_rows);
}
KERNEL(THREADS) group_norm_gradient_chunks_packed(float* parts, const T* x, const T* scale, const T* shift,
                                                  const float* stats, const T* dy, GroupNorm g, int widest,
                                                  size_t chunk_rows) {
  chunk_gradients<PACK>(parts, x, scale, shift, stats, dy, g, widest, chunk_rows);
}

// The chunks' sums together; a thread a group.
KERNEL(THREADS) group_norm_sums(T* dscale, T* dshift, float* means, const T* scale, const float* parts, GroupNorm g,
                                size_t chunks) {
  const size_t group = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (group >= g.n * g.groups) return;
  const size_t n = group / g.groups, last = (group % g.groups + 1) * group_size(g);
  const float count = static_cast<float>(g.hw * group_size(g));
  float m1 = 0.0f, m2 = 0.0f;
  for (size_t c = last - group_size(g); c < last; ++c) {
    float sum = 0.0f, sum_xhat = 0.0f;
    for (size_t i = 0; i < chunks; ++i) {
      const float* part = parts + 2 * ((n * chunks + i) * g.c + c);
      sum += part[0];
      sum_xhat += part[1];
    }
    dshift[n * g.c + c] = from_float<T>(sum);
    dscale[n * g.c + c] = from_float<T>(sum_xhat);
    const float factor = to_float(scale[g.per_sample ? n * g.c + c : c]) / count;
    m1 += factor * sum;
    m2 += factor * sum_xhat;
  }
  means[2 * group] = m1;
  means[2 * group + 1] = m2;
}

KERNEL(THREADS) group_norm_backward_packed(T* dx, const T* x, const T* scale, const T* shift, const float* stats,
                                           const float* means, const T* dy, GroupNorm g) {
  input_grads<PACK>(dx, x, scale, shift, stats, means, dy, g);
}

// ---- v3 -------------------------------------------------------------------------------------------------------------

// A block a tile of all rows. Dynamic shared memory: the tile.
template <int SIZE>
__device__ __forceinline__ void fused_forward(T* y, float* stats, const T* x, const T* scale, const T* shift,
                                              const GroupNorm& g, int widest, T* kept) {
  __shared__ float part[THREADS * SIZE], mean[GROUPS], rstd[GROUPS];
  const Tile<SIZE> tile(g, widest, blockIdx.x, 0, g.hw);
  const int size = static_cast<int>(group_size(g));
  // Each thread reads only what it wrote itself: no barrier.
  const auto keep = [&](int row) { return reinterpret_cast<Run<SIZE>*>(kept + row * tile.width + tile.channel); };
  tile.for_runs(g, [&](size_t where, int row) { *keep(row) = *reinterpret_cast<const Run<SIZE>*>(x + where); });
  moments(tile, g, part, mean, rstd, [&](size_t, int row) { return *keep(row); });
  const float count = static_cast<float>(g.hw * size);
  for (int i = threadIdx.x; i < tile.width / size; i += THREADS) {
    rstd[i] = 1.0f / sqrtf(rstd[i] / count + static_cast<float>(g.eps));
    float* to = stats + 2 * (tile.n * g.groups + tile.first / size + i);
    to[0] = mean[i];
    to[1] = rstd[i];
  }
  __syncthreads();
  if (tile.row >= tile.rows) return;
  Channels<SIZE> channels(scale, shift, g, tile.n, tile.first + tile.channel);
  channels.statistics([&](int j, int k) { 
    const int i = (tile.channel + j) / size;
    return k == 0 ? mean[i] : rstd[i];
   });
  tile.for_runs(g, [&](size_t where, int row) {
    *reinterpret_cast<Run<SIZE>*>(y + where) = channels.forward(*keep(row), g.silu);
  });
}

KERNEL(THREADS) group_norm_forward(T* y, float* stats, const T* x, const T* scale, const T* shift, GroupNorm g,
                                   int widest) {
  DYN_SMEM(T, kept);
  fused_forward<1>(y, stats, x, scale, shift, g, widest, kept);
}
KERNEL(THREADS) group_norm_forward_fused(T* y, float* stats, const T* x, const T* scale, const T* shift, GroupNorm g,
                                         int widest) {
  DYN_SMEM(T, kept);
  fused_forward<PACK>(y, stats, x, scale, shift, g, widest, kept);
}

// The same. Dynamic shared memory: the tile of x, and that of dy.
template <int SIZE>
__device__ __forceinline__ void fused_backward(T* dx, T* dscale, T* dshift, const T* x, const T* scale, const T* shift,
                                               const float* stats, const T* dy, const GroupNorm& g, int widest,
                                               T* kept) {
  __shared__ float part0[THREADS * SIZE], part1[THREADS * SIZE], m1[GROUPS], m2[GROUPS];
  const Tile<SIZE> tile(g, widest, blockIdx.x, 0, g.hw);
  const int size = static_cast<int>(group_size(g));
  const size_t channel = tile.first + tile.channel, tile_size = g.hw * tile.width;
  const auto keep = [&](size_t start, int row) {
    return reinterpret_cast<Run<SIZE>*>(kept + start + row * tile.width + tile.channel);
  };
  Channels<SIZE> channels(scale, shift, g, tile.n, channel);
  channels.statistics([&](int j, int k) { return stats[2 * (tile.n * g.groups + (channel + j) / size) + k]; });
  gradient_sums(tile, channels, g, part0, part1, [&](size_t where, int row) -> Both<SIZE> {
    *keep(0, row) = *reinterpret_cast<const Run<SIZE>*>(x + where);
    *keep(tile_size, row) = *reinterpret_cast<const Run<SIZE>*>(dy + where);
    return {*keep(0, row), *keep(tile_size, row)};
  });
  for (int c = threadIdx.x; c < tile.width; c += THREADS) {
    dshift[tile.n * g.c + tile.first + c] = from_float<T>(part0[c]);
    dscale[tile.n * g.c + tile.first + c] = from_float<T>(part1[c]);
  }
  const float count = static_cast<float>(g.hw * size);
  const T* scales = scale + (g.per_sample ? tile.n * g.c : 0) + tile.first;
  tile.add_groups(m1, size, [&](int c) { return to_float(scales[c]) * part0[c]; }, [=](float sum) { return sum / count; });
  tile.add_groups(m2, size, [&](int c) { return to_float(scales[c]) * part1[c]; }, [=](float sum) { return sum / count; });
  if (tile.row >= tile.rows) return;
  float of_run1[SIZE], of_run2[SIZE];
#pragma unroll
  for (int j = 0; j < SIZE; ++j) {
    of_run1[j] = m1[(tile.channel + j) / size];
    of_run2[j] = m2[(tile.channel + j) / size];
  }
  tile.for_runs(g, [&](size_t where, int row) {
    *reinterpret_cast<Run<SIZE>*>(dx + where) =
        channels.input_grad(*keep(0, row), *keep(tile_size, row), of_run1, of_run2, g.silu);
  });
}

KERNEL(THREADS) group_norm_backward(T* dx, T* dscale, T* dshift, const T* x, const T* scale, const T* shift,
                                    const float* stats, const T* dy, GroupNorm g, int widest) {
  DYN_SMEM(T, kept);
  fused_backward<1>(dx, dscale, dshift, x, scale, shift, stats, dy, g, widest, kept);
}
KERNEL(THREADS) group_norm_backward_fused(T* dx, T* dscale, T* dshift, const T* x, const T* scale, const T* shift,
                                          const float* stats, const T* dy, GroupNorm g, int widest) {
  DYN_SMEM(T, kept);
  fused_backward<PACK>(dx, dscale, dshift, x, scale, shift, stats, dy, g, widest, kept);
}
