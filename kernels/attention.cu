// Attention of one head over N sequences of T tokens of C numbers, q, k, v [N, T, C]:
//   y_i = sum over j of A_ij v_j, A = softmax(S), S_ij = q_i . k_j / sqrt(C),
// and its gradients, where stats [N, T, 2] hold the logarithm of the sum of e^S_ij and D_i = dy_i . y_i:
//   dA_ij = dy_i . v_j, dS = A (dA - D) / sqrt(C), dq = dS k, dk = dS^T q, dv = A^T dy.
// Scores are never in memory: the softmax is taken online (Milakov and Gimelshein, 2018; Dao et al., 2022), and A is
// computed again from its logarithm.
//
// v1: one thread an output.
// v2: a block computes 32 tokens by up to 256 columns, from tiles of 32 x 32 scores; a warp has four rows of a tile,
//     a lane one column of it, so that sums over a row are shuffles.
// v3: on tensor cores, in attention_mma.cu: bf16 and whole packs of channels, up to 256.
#include "gpu.cuh"

constexpr int THREADS = 256;

__device__ __forceinline__ float dot(const T* a, const T* b, size_t c) {
  float sum = 0.0f;
  for (size_t i = 0; i < c; ++i) sum += to_float(a[i]) * to_float(b[i]);
  return sum;
}

// A sum of e^score times something over scores that come one by one, as e^max times a sum of moderate numbers.
struct Online {
  float max, sum;

  // Takes a new score; what was summed up until now shrinks by the factor that is returned.
  __device__ __forceinline__ float shrink(float score) {
    const float before = max;
    max = fmaxf(max, score);
    const float factor = __expf(before - max);
    sum *= factor;
    return factor;
  }
};

// Below any score, and finite: the difference of two of them is a number.
constexpr float LOWEST = -3.0e38f;

// ---- v1 -------------------------------------------------------------------------------------------------------------

KERNEL(THREADS) attention_forward_v1(T* y, const T* q, const T* k, const T* v, Attention g, float scale) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= g.n * g.t * g.c) return;
  const size_t i = at / g.c, first = i / g.t * g.t;
  Online online{LOWEST, 0.0f};
  float out = 0.0f;
  for (size_t j = first; j < first + g.t; ++j) {
    const float score = scale * dot(q + i * g.c, k + j * g.c, g.c);
    out *= online.shrink(score);
    const float weight = __expf(score - online.max);
    online.sum += weight;
    out += weight * to_float(v[j * g.c + at % g.c]);
  }
  y[at] = from_float<T>(out / online.sum);
}

KERNEL(THREADS) attention_stats_v1(float* stats, const T* q, const T* k, const T* v, const T* dy, Attention g,
                                   float scale) {
  const size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (i >= g.n * g.t) return;
  const size_t first = i / g.t * g.t;
  Online online{LOWEST, 0.0f};
  float product = 0.0f;
  for (size_t j = first; j < first + g.t; ++j) {
    const float score = scale * dot(q + i * g.c, k + j * g.c, g.c);
    product *= online.shrink(score);
    const float weight = __expf(score - online.max);
    online.sum += weight;
    product += weight * dot(dy + i * g.c, v + j * g.c, g.c);
  }
  stats[2 * i] = online.max + logf(online.sum);
  stats[2 * i + 1] = product / online.sum;
}

// A_ij and dS_ij.
__device__ __forceinline__ float2 weight_v1(const T* q, const T* k, const T* v, const T* dy, const float* stats,
                                            size_t i, size_t j, size_t c, float scale) {
  const float weight = __expf(scale * dot(q + i * c, k + j * c, c) - stats[2 * i]);
  return make_float2(weight, scale * weight * (dot(dy + i * c, v + j * c, c) - stats[2 * i + 1]));
}

KERNEL(THREADS) attention_query_grad_v1(T* dq, const T* q, const T* k, const T* v, const T* dy, const float* stats,
                                        Attention g, float scale) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= g.n * g.t * g.c) return;
  const size_t i = at / g.c, first = i / g.t * g.t;
  float sum = 0.0f;
  for (size_t j = first; j < first + g.t; ++j) {
    sum += weight_v1(q, k, v, dy, stats, i, j, g.c, scale).y * to_float(k[j * g.c + at % g.c]);
  }
  dq[at] = from_float<T>(sum);
}

KERNEL(THREADS) attention_key_value_grad_v1(T* dk, T* dv, const T* q, const T* k, const T* v, const T* dy,
                                            const float* stats, Attention g, float scale) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= g.n * g.t * g.c) return;
  const size_t j = at / g.c, first = j / g.t * g.t;
  float sum_k = 0.0f, sum_v = 0.0f;
  for (size_t i = first; i < first + g.t; ++i) {
    const float2 weight = weight_v1(q, k, v, dy, stats, i, j, g.c, scale);
    sum_v += weight.x * to_float(dy[i * g.c + at % g.c]);
    sum_k += weight.y * to_float(q[i * g.c + at % g.c]);
  }
  dk[at] = from_float<T>(sum_k);
  dv[at] = from_float<T>(sum_v);
}

// ---- v2 -------------------------------------------------------------------------------------------------------------

constexpr int TILE = 32, ROWS = 4;  // tokens of a tile; rows of it that a warp has
constexpr int COLUMNS = 8;          // 32 apart, that a lane has of its rows of the output

// The tokens that a block computes, and the piece of them.
struct Place {
  size_t start;             // of the sequence, in tokens
  int first, t, c, column;  // the tile's first token; sizes; this lane's first column
  int warp, lane;

  __device__ __forceinline__ explicit Place(const Attention& g) {
    const int tiles = static_cast<int>((g.t + TILE - 1) / TILE);
    start = blockIdx.x / tiles * g.t;
    first = static_cast<int>(blockIdx.x % tiles) * TILE;
    t = static_cast<int>(g.t);
    c = static_cast<int>(g.c);
    warp = threadIdx.x / 32;
    lane = threadIdx.x % 32;
    column = blockIdx.y * (32 * COLUMNS) + lane;
  }
  __device__ __forceinline__ int row(int i) const { return first + warp * ROWS + i; }
  __device__ __forceinline__ const T* sequence(const T* x) const { return x + start * c; }
};

// products[i] = a[row(i)] . b[second + lane] of a sequence; 0 for tokens behind its end.
__device__ __forceinline__ void tile_products(float (&products)[ROWS], const Place& at, const T* a, const T* b,
                                              int second) {
  __shared__ float of_a[TILE][TILE + 1], of_b[TILE][TILE + 1];
#pragma unroll
  for (int i = 0; i < ROWS; ++i) products[i] = 0.0f;
  for (int c0 = 0; c0 < at.c; c0 += TILE) {
    __syncthreads();  // until the last tiles are read
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      const int row = at.warp * ROWS + i, column = c0 + at.lane;
      const bool inside = column < at.c;
      of_a[row][at.lane] = inside && at.first + row < at.t ? to_float(a[size_t(at.first + row) * at.c + column]) : 0.0f;
      of_b[row][at.lane] = inside && second + row < at.t ? to_float(b[size_t(second + row) * at.c + column]) : 0.0f;
    }
    __syncthreads();
#pragma unroll 8
    for (int c = 0; c < TILE; ++c) {
      const float other = of_b[at.lane][c];
#pragma unroll
      for (int i = 0; i < ROWS; ++i) products[i] += of_a[at.warp * ROWS + i][c] * other;
    }
  }
}

// sums[i] += sum over the lanes' tokens j of weights[i] of lane j times x[second + j], in this lane's columns.
__device__ __forceinline__ void add_weighted(float (&sums)[ROWS][COLUMNS], const Place& at, const float (&weights)[ROWS],
                                             const T* x, int second) {
  const int tokens = min(TILE, at.t - second);
  for (int j = 0; j < tokens; ++j) {
    float of_token[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; ++i) of_token[i] = __shfl_sync(0xffffffffu, weights[i], j);
#pragma unroll
    for (int k = 0; k < COLUMNS; ++k) {
      const int column = at.column + 32 * k;
      const float value = column < at.c ? to_float(x[size_t(second + j) * at.c + column]) : 0.0f;
#pragma unroll
      for (int i = 0; i < ROWS; ++i) sums[i][k] += of_token[i] * value;
    }
  }
}

__device__ __forceinline__ void store_rows(T* y, const Place& at, const float (&sums)[ROWS][COLUMNS]) {
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
#pragma unroll
    for (int k = 0; k < COLUMNS; ++k) {
      const int column = at.column + 32 * k;
      if (at.row(i) < at.t && column < at.c) y[(at.start + at.row(i)) * at.c + column] = from_float<T>(sums[i][k]);
    }
  }
}

// Blocks (tiles of tokens of all sequences, pieces of 256 columns), as of the gradients.
KERNEL(THREADS) attention_forward(T* y, const T* q, const T* k, const T* v, Attention g, float scale) {
  const Place at(g);
  Online online[ROWS];
  float out[ROWS][COLUMNS] = {};
#pragma unroll
  for (int i = 0; i < ROWS; ++i) online[i] = {LOWEST, 0.0f};
  for (int second = 0; second < at.t; second += TILE) {
    float weights[ROWS];
    tile_products(weights, at, at.sequence(q), at.sequence(k), second);
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      const float score = second + at.lane < at.t ? scale * weights[i] : LOWEST;
      const float factor = online[i].shrink(gpu::warp_max(score));
      weights[i] = __expf(score - online[i].max);
      online[i].sum += gpu::warp_sum(weights[i]);
#pragma unroll
      for (int j = 0; j < COLUMNS; ++j) out[i][j] *= factor;
    }
    add_weighted(out, at, weights, at.sequence(v), second);
  }
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) out[i][j] /= online[i].sum;
  }
  store_rows(y, at, out);
}

// Blocks (tiles of tokens of all sequences).
KERNEL(THREADS) attention_stats(float* stats, const T* q, const T* k, const T* v, const T* dy, Attention g,
                                float scale) {
  const Place at(g);
  Online online[ROWS];
  float product[ROWS] = {};
#pragma unroll
  for (int i = 0; i < ROWS; ++i) online[i] = {LOWEST, 0.0f};
  for (int second = 0; second < at.t; second += TILE) {
    float scores[ROWS], gradients[ROWS];
    tile_products(scores, at, at.sequence(q), at.sequence(k), second);
    tile_products(gradients, at, at.sequence(dy), at.sequence(v), second);
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      const float score = second + at.lane < at.t ? scale * scores[i] : LOWEST;
      product[i] *= online[i].shrink(gpu::warp_max(score));
      const float weight = __expf(score - online[i].max);
      online[i].sum += gpu::warp_sum(weight);
      product[i] += gpu::warp_sum(weight * gradients[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
    if (at.lane == 0 && at.row(i) < at.t) {
      float* to = stats + 2 * (at.start + at.row(i));
      to[0] = online[i].max + logf(online[i].sum);
      to[1] = product[i] / online[i].sum;
    }
  }
}

KERNEL(THREADS) attention_query_grad(T* dq, const T* q, const T* k, const T* v, const T* dy, const float* stats,
                                     Attention g, float scale) {
  const Place at(g);
  float sums[ROWS][COLUMNS] = {};
  for (int second = 0; second < at.t; second += TILE) {
    float scores[ROWS], gradients[ROWS];
    tile_products(scores, at, at.sequence(q), at.sequence(k), second);
    tile_products(gradients, at, at.sequence(dy), at.sequence(v), second);
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      const float* of_row = stats + 2 * (at.start + min(at.row(i), at.t - 1));
      const float weight = second + at.lane < at.t ? __expf(scale * scores[i] - of_row[0]) : 0.0f;
      gradients[i] = scale * weight * (gradients[i] - of_row[1]);
    }
    add_weighted(sums, at, gradients, at.sequence(k), second);
  }
  store_rows(dq, at, sums);
}

// Here rows are keys, and lanes have queries.
KERNEL(THREADS, 1) attention_key_value_grad(T* dk, T* dv, const T* q, const T* k, const T* v, const T* dy,
                                         const float* stats, Attention g, float scale) {
  const Place at(g);
  float sums_k[ROWS][COLUMNS] = {}, sums_v[ROWS][COLUMNS] = {};
  for (int second = 0; second < at.t; second += TILE) {
    float weights[ROWS], gradients[ROWS];
    tile_products(weights, at, at.sequence(k), at.sequence(q), second);
    tile_products(gradients, at, at.sequence(v), at.sequence(dy), second);
    const bool inside = second + at.lane < at.t;
    const float* of_query = stats + 2 * (at.start + (inside ? second + at.lane : 0));
    const float log_sum = of_query[0], product = of_query[1];
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      weights[i] = inside ? __expf(scale * weights[i] - log_sum) : 0.0f;
      gradients[i] = scale * weights[i] * (gradients[i] - product);
    }
    add_weighted(sums_v, at, weights, at.sequence(dy), second);
    add_weighted(sums_k, at, gradients, at.sequence(q), second);
  }
  store_rows(dk, at, sums_k);
  store_rows(dv, at, sums_v);
}
