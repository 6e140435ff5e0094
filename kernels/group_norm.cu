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
#include "group_norm.cuh"

// ---- v1 -------------------------------------------------------------------------------------------------------------

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

// f(where, n, channel, group of all) for each number of x [N, HW, C].
template <class F>
__device__ __forceinline__ void for_numbers(const GroupNorm& g, F f) {
  const size_t threads = size_t(gridDim.x) * THREADS;
  for (size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x; i < g.n * g.hw * g.c; i += threads) {
    const size_t n = i / (g.hw * g.c), c = i % g.c;
    f(i, n, c, n * g.groups + c / group_size(g));
  }
}

KERNEL(THREADS) group_norm_forward_v1(T* y, const T* x, const T* scale, const T* shift, const float* stats,
                                      GroupNorm g) {
  for_numbers(g, [&](size_t i, size_t n, size_t c, size_t group) {
    Channels<1> channel(scale, shift, g, n, c);
    channel.statistics([&](int, int k) { return stats[2 * group + k]; });
    store(y + i, channel.forward(load<1>(x + i), g.silu));
  });
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
      const float2 b = channel.backward(0, to_float(x[at]), to_float(dy[at]), g.silu);
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

KERNEL(THREADS) group_norm_backward_v1(T* dx, const T* x, const T* scale, const T* shift, const float* stats,
                                       const float* means, const T* dy, GroupNorm g) {
  for_numbers(g, [&](size_t i, size_t n, size_t c, size_t group) {
    Channels<1> channel(scale, shift, g, n, c);
    channel.statistics([&](int, int k) { return stats[2 * group + k]; });
    const InputGrad<1> gradient(channel, [&](int, int k) { return means[2 * group + k]; });
    dx[i] = gradient(0, to_float(x[i]), channel.backward(0, to_float(x[i]), to_float(dy[i]), g.silu).y);
  });
}

// ---- v2 -------------------------------------------------------------------------------------------------------------

// parts [N, chunks, G, 2]: mean and sum of squares about it of each chunk of rows. Blocks (tiles, chunks).
template <int SIZE>
__device__ __forceinline__ void chunk_moments(float* parts, const T* x, const GroupNorm& g, const GroupTiles& t,
                                              size_t chunk_rows) {
  __shared__ float part[SIZE * Tile<SIZE>::STEP], mean[GROUPS], squares[GROUPS];
  const Tile<SIZE> tile(g, t, blockIdx.y, chunk_rows);
  moments(tile, g, part, mean, squares, [=](size_t where, unsigned) { return load<SIZE>(x + where); });
  float* to = parts + 2 * ((tile.n * gridDim.y + blockIdx.y) * g.groups + unsigned(tile.first) / t.group_size);
  for (unsigned i = threadIdx.x; i < tile.groups(); i += THREADS) {
    to[2 * i] = mean[i];
    to[2 * i + 1] = squares[i];
  }
}

KERNEL(THREADS) group_norm_chunks(float* parts, const T* x, GroupNorm g, GroupTiles t, size_t chunk_rows) {
  chunk_moments<1>(parts, x, g, t, chunk_rows);
}
KERNEL(THREADS) group_norm_chunks_packed(float* parts, const T* x, GroupNorm g, GroupTiles t, size_t chunk_rows) {
  chunk_moments<PACK>(parts, x, g, t, chunk_rows);
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

// The channels of this thread, whose statistics are in memory.
template <int SIZE>
__device__ __forceinline__ Channels<SIZE> channels_of(const Tile<SIZE>& tile, const T* scale, const T* shift,
                                                      const float* stats, const GroupNorm& g) {
  Channels<SIZE> channels(scale, shift, g, tile.n, tile.first + tile.channel);
  const float* of_tile = stats + 2 * (tile.n * g.groups + unsigned(tile.first) / tile.group_size);
  channels.statistics([&](int j, int k) { return of_tile[2 * tile.group(j) + k]; });
  return channels;
}

// Blocks (tiles, chunks), as of the gradients.
KERNEL(THREADS) group_norm_forward_packed(T* y, const T* x, const T* scale, const T* shift, const float* stats,
                                          GroupNorm g, GroupTiles t, size_t chunk_rows) {
  const Tile<PACK> tile(g, t, blockIdx.y, chunk_rows);
  const Channels<PACK> channels = channels_of(tile, scale, shift, stats, g);
  tile.for_pieces(g, [&](size_t where, unsigned) {
    store(y + where, channels.forward(load<PACK>(x + where), g.silu));
  });
}

template <int SIZE>
struct Both {
  Piece<T, SIZE> x, dy;
};

// The sums of du and of du xhat over the rows of a tile, tables 0 and 1 of `part`. at(where, row) is x and dy;
// done(row, du) is told du.
template <int SIZE, class F, class G>
__device__ __forceinline__ void gradient_sums(const Tile<SIZE>& tile, const Channels<SIZE>& channels,
                                              const GroupNorm& g, float* part, F at, G done) {
  float sums[2 * SIZE] = {};
  tile.for_pieces(g, [&](size_t where, unsigned row) {
    const Both<SIZE> both = at(where, row);
    const Floats<SIZE> x = to_floats(both.x), dy = to_floats(both.dy);
    Piece<T, SIZE> du;
#pragma unroll
    for (int j = 0; j < SIZE; ++j) {
      const float2 b = channels.backward(j, x.at[j], dy.at[j], g.silu);
      sums[j] += b.y;
      sums[SIZE + j] += b.y * b.x;
      du.at[j] = from_float<T>(b.y);
    }
    done(row, du);
  });
  tile.add_rows(part, sums);
}

// parts [N, chunks, C, 2]: sums of du and of du xhat over each chunk of rows.
template <int SIZE>
__device__ __forceinline__ void chunk_gradients(float* parts, const T* x, const T* scale, const T* shift,
                                                const float* stats, const T* dy, const GroupNorm& g,
                                                const GroupTiles& t, size_t chunk_rows) {
  __shared__ float part[2 * SIZE * THREADS];
  const Tile<SIZE> tile(g, t, blockIdx.y, chunk_rows);
  const auto both = [=](size_t where, unsigned) -> Both<SIZE> {
    return {load<SIZE>(x + where), load<SIZE>(dy + where)};
  };
  gradient_sums(tile, channels_of(tile, scale, shift, stats, g), g, part, both, [](unsigned, Piece<T, SIZE>) {});
  float* to = parts + 2 * ((tile.n * gridDim.y + blockIdx.y) * g.c + tile.first);
  for (unsigned c = threadIdx.x; c < tile.width; c += THREADS) {
    to[2 * c] = tile.sum_of(part, 0, c);
    to[2 * c + 1] = tile.sum_of(part, 1, c);
  }
}

KERNEL(THREADS) group_norm_gradient_chunks(float* parts, const T* x, const T* scale, const T* shift,
                                           const float* stats, const T* dy, GroupNorm g, GroupTiles t,
                                           size_t chunk_rows) {
  chunk_gradients<1>(parts, x, scale, shift, stats, dy, g, t, chunk_rows);
}
KERNEL(THREADS) group_norm_gradient_chunks_packed(float* parts, const T* x, const T* scale, const T* shift,
                                                  const float* stats, const T* dy, GroupNorm g, GroupTiles t,
                                                  size_t chunk_rows) {
  chunk_gradients<PACK>(parts, x, scale, shift, stats, dy, g, t, chunk_rows);
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
                                           const float* means, const T* dy, GroupNorm g, GroupTiles t,
                                           size_t chunk_rows) {
  const Tile<PACK> tile(g, t, blockIdx.y, chunk_rows);
  const Channels<PACK> channels = channels_of(tile, scale, shift, stats, g);
  const float* of_tile = means + 2 * (tile.n * g.groups + unsigned(tile.first) / t.group_size);
  const InputGrad<PACK> gradient(channels, [&](int j, int k) { return of_tile[2 * tile.group(j) + k]; });
  tile.for_pieces(g, [&](size_t where, unsigned) {
    const Floats<PACK> of_x = to_floats(load<PACK>(x + where)), of_dy = to_floats(load<PACK>(dy + where));
    Pack<T> of_dx;
#pragma unroll
    for (int j = 0; j < PACK; ++j) {
      of_dx.at[j] = gradient(j, of_x.at[j], channels.backward(j, of_x.at[j], of_dy.at[j], g.silu).y);
    }
    store(dx + where, of_dx);
  });
}

// ---- v3 -------------------------------------------------------------------------------------------------------------

// A block a tile of all rows. Dynamic shared memory: the tile. Each thread reads only what it fetched itself: no
// barrier.
template <int SIZE>
__device__ __forceinline__ void fused_forward(T* y, float* stats, const T* x, const T* scale, const T* shift,
                                              const GroupNorm& g, const GroupTiles& t, T* kept) {
  __shared__ float part[SIZE * Tile<SIZE>::STEP], mean[GROUPS], rstd[GROUPS];
  const Tile<SIZE> tile(g, t, 0, g.hw);
  tile.fetch(g, kept, x);
  gpu::cp_async_commit();
  gpu::cp_async_wait<0>();
  moments(tile, g, part, mean, rstd, [&](size_t, unsigned row) { return load<SIZE>(tile.kept(kept, row)); });
  const float count = static_cast<float>(g.hw * t.group_size.by);
  float* of_tile = stats + 2 * (tile.n * g.groups + unsigned(tile.first) / t.group_size);
  for (unsigned i = threadIdx.x; i < tile.groups(); i += THREADS) {
    rstd[i] = 1.0f / sqrtf(rstd[i] / count + static_cast<float>(g.eps));
    of_tile[2 * i] = mean[i];
    of_tile[2 * i + 1] = rstd[i];
  }
  __syncthreads();
  if (tile.row >= tile.rows) return;
  Channels<SIZE> channels(scale, shift, g, tile.n, tile.first + tile.channel);
  channels.statistics([&](int j, int k) { return (k == 0 ? mean : rstd)[tile.group(j)]; });
  tile.for_pieces(g, [&](size_t where, unsigned row) {
    store(y + where, channels.forward(load<SIZE>(tile.kept(kept, row)), g.silu));
  });
}

KERNEL(THREADS) group_norm_forward(T* y, float* stats, const T* x, const T* scale, const T* shift, GroupNorm g,
                                   GroupTiles t) {
  DYN_SMEM(T, kept);
  fused_forward<1>(y, stats, x, scale, shift, g, t, kept);
}
KERNEL(THREADS) group_norm_forward_fused(T* y, float* stats, const T* x, const T* scale, const T* shift, GroupNorm g,
                                         GroupTiles t) {
  DYN_SMEM(T, kept);
  fused_forward<PACK>(y, stats, x, scale, shift, g, t, kept);
}

// The same. Dynamic shared memory: the tile of x, and that of dy, in whose place du is kept.
template <int SIZE>
__device__ __forceinline__ void fused_backward(T* dx, T* dscale, T* dshift, const T* x, const T* scale, const T* shift,
                                               const float* stats, const T* dy, const GroupNorm& g,
                                               const GroupTiles& t, T* kept) {
  __shared__ float part[2 * SIZE * THREADS], m1[GROUPS], m2[GROUPS];
  const Tile<SIZE> tile(g, t, 0, g.hw);
  T* kept_du = kept + g.hw * tile.width;
  tile.fetch(g, kept, x);
  tile.fetch(g, kept_du, dy);
  gpu::cp_async_commit();
  const Channels<SIZE> channels = channels_of(tile, scale, shift, stats, g);
  gpu::cp_async_wait<0>();
  gradient_sums(
      tile, channels, g, part,
      [&](size_t, unsigned row) -> Both<SIZE> {
        return {load<SIZE>(tile.kept(kept, row)), load<SIZE>(tile.kept(kept_du, row))};
      },
      [&](unsigned row, Piece<T, SIZE> du) { store(tile.kept(kept_du, row), du); });
  T *scales_out = dscale + tile.n * g.c + tile.first, *shifts_out = dshift + tile.n * g.c + tile.first;
  for (unsigned c = threadIdx.x; c < tile.width; c += THREADS) {
    shifts_out[c] = from_float<T>(tile.sum_of(part, 0, c));
    scales_out[c] = from_float<T>(tile.sum_of(part, 1, c));
  }
  const float count = static_cast<float>(g.hw * t.group_size.by);
  const T* scales = scale + (g.per_sample ? tile.n * g.c : 0) + tile.first;
  const auto mean = [=](float sum) { return sum / count; };
  tile.add_channels(m1, [&](unsigned c) { return to_float(scales[c]) * tile.sum_of(part, 0, c); }, mean);
  tile.add_channels(m2, [&](unsigned c) { return to_float(scales[c]) * tile.sum_of(part, 1, c); }, mean);
  if (tile.row >= tile.rows) return;
  const InputGrad<SIZE> gradient(channels, [&](int j, int k) { return (k == 0 ? m1 : m2)[tile.group(j)]; });
  tile.for_pieces(g, [&](size_t where, unsigned row) {
    const Floats<SIZE> of_x = to_floats(load<SIZE>(tile.kept(kept, row)));
    const Floats<SIZE> du = to_floats(load<SIZE>(tile.kept(kept_du, row)));
    Piece<T, SIZE> of_dx;
#pragma unroll
    for (int j = 0; j < SIZE; ++j) of_dx.at[j] = gradient(j, of_x.at[j], du.at[j]);
    store(dx + where, of_dx);
  });
}

KERNEL(THREADS) group_norm_backward(T* dx, T* dscale, T* dshift, const T* x, const T* scale, const T* shift,
                                    const float* stats, const T* dy, GroupNorm g, GroupTiles t) {
  DYN_SMEM(T, kept);
  fused_backward<1>(dx, dscale, dshift, x, scale, shift, stats, dy, g, t, kept);
}
KERNEL(THREADS) group_norm_backward_fused(T* dx, T* dscale, T* dshift, const T* x, const T* scale, const T* shift,
                                          const float* stats, const T* dy, GroupNorm g, GroupTiles t) {
  DYN_SMEM(T, kept);
  fused_backward<PACK>(dx, dscale, dshift, x, scale, shift, stats, dy, g, t, kept);
}
