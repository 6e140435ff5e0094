// v3 of attention and its gradients (attention.cu): bf16 on tensor cores, for C of whole packs of 16 bytes up to 256.
//
// A block has 64 tokens of a sequence, a warp 16 of them with all their outputs in registers; the tokens that they meet
// come to shared memory a tile at a time. Scores go from one product to the other in registers: the fragment that comes
// out of a tensor core is the one that goes in.
#include "gpu.cuh"

constexpr int THREADS = 128;
constexpr int ROWS = 64;         // tokens of a block
constexpr int FORWARD_TILE = 64;  // tokens that they meet at a time
constexpr int BACKWARD_TILE = 32;
constexpr int CHUNK = 8;         // numbers of 16 bytes
// Below any score, and finite: the difference of two of them is a number.
constexpr float LOWEST = -3.0e38f;

// The sequence that a block works on. In shared memory its tokens have `depth` numbers, C rounded up to 16 with zeros,
// and stand `step` apart: eight below each other lie in different banks.
struct Sequence {
  size_t first_token;
  int t, c, depth, step, row;  // `row`: the block's first token

  __device__ __forceinline__ explicit Sequence(const Attention& g) {
    const int tiles = static_cast<int>((g.t + ROWS - 1) / ROWS);
    first_token = blockIdx.x / tiles * g.t;
    row = static_cast<int>(blockIdx.x % tiles) * ROWS;
    t = static_cast<int>(g.t);
    c = static_cast<int>(g.c);
    depth = (c + 15) / 16 * 16;
    step = depth + CHUNK;
  }

  // Fetches tokens from `token` on, zeros behind the end, as one group of copies. WIDTH is C or more: dividing by what
  // the compiler knows costs nothing.
  template <int TOKENS, int WIDTH>
  __device__ __forceinline__ void fetch(bf16* to, const bf16* x, int token) const {
    constexpr int ACROSS = WIDTH / CHUNK, DOWN = THREADS / ACROSS;
    static_assert(TOKENS % DOWN == 0, "each thread fetches the same number of chunks");
    const int first = threadIdx.x / ACROSS, column = threadIdx.x % ACROSS * CHUNK;
    if (column < depth) {
      to += first * step + column;
      x += (first_token + token + first) * c + column;
      const int inside = column < c ? t - token - first : 0;
#pragma unroll 8
      for (int line = 0; line < TOKENS; line += DOWN) gpu::cp_async16(to + line * step, x + line * c, line < inside);
    }
    gpu::cp_async_commit();
  }
};

__device__ __forceinline__ uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// Fragments of a warp: of block j of 16x8, a lane has rows `line()` and 8 below, `column(j)` and the next.
__device__ __forceinline__ int warp_row() { return threadIdx.x / 32 * 16; }
__device__ __forceinline__ int line() { return warp_row() + threadIdx.x % 32 / 4; }
__device__ __forceinline__ int column(int block) { return block * 8 + threadIdx.x % 4 * 2; }

// The sum, or the largest, over the four lanes that have a row.
__device__ __forceinline__ float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ __forceinline__ float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

// p = the warp's 16 of `rows` times `others` transposed, [16, TOKENS].
template <int TOKENS>
__device__ __forceinline__ void products(float (&p)[TOKENS / 8][4], const Sequence& s, const bf16* rows,
                                         const bf16* others) {
  const int lane = threadIdx.x % 32, block = lane / 8;
  const bf16* of_row = rows + (warp_row() + block % 2 * 8 + lane % 8) * s.step + block / 2 * 8;
  const bf16* of_other = others + (block / 2 * 8 + lane % 8) * s.step + block % 2 * 8;
#pragma unroll
  for (int j = 0; j < TOKENS / 8; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) p[j][i] = 0.0f;
  }
  for (int k = 0; k < s.depth; k += 16) {
    uint32_t a[4];
    gpu::ldmatrix_x4(a, of_row + k);
#pragma unroll
    for (int j = 0; j < TOKENS / 16; ++j) {
      uint32_t b[4];
      gpu::ldmatrix_x4(b, of_other + j * 16 * s.step + k);
      const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
      gpu::mma_m16n8k16(p[2 * j], a, low, bf16());
      gpu::mma_m16n8k16(p[2 * j + 1], a, high, bf16());
    }
  }
}

// out += weights [16, TOKENS] times `others`, [16, BLOCKS * 8].
template <int TOKENS, int BLOCKS>
__device__ __forceinline__ void add_weighted(float (&out)[BLOCKS][4], const float (&weights)[TOKENS / 8][4],
                                             const Sequence& s, const bf16* others) {
  const int lane = threadIdx.x % 32, block = lane / 8;
  const bf16* of_other = others + (block % 2 * 8 + lane % 8) * s.step + block / 2 * 8;
#pragma unroll
  for (int j = 0; j < TOKENS / 16; ++j) {
    const float(&left)[4] = weights[2 * j], (&right)[4] = weights[2 * j + 1];
    const uint32_t a[4] = {pack(left[0], left[1]), pack(left[2], left[3]), pack(right[0], right[1]),
                           pack(right[2], right[3])};
#pragma unroll
    for (int i = 0; i < BLOCKS / 2; ++i) {
      if (i * 16 >= s.depth) break;
      uint32_t b[4];
      gpu::ldmatrix_x4_trans(b, of_other + j * 16 * s.step + i * 16);
      const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
      gpu::mma_m16n8k16(out[2 * i], a, low, bf16());
      gpu::mma_m16n8k16(out[2 * i + 1], a, high, bf16());
    }
  }
}

// y's rows are `out` times a factor for each of the lane's two rows.
template <int BLOCKS>
__device__ __forceinline__ void store(bf16* y, const Sequence& s, const float (&out)[BLOCKS][4], float upper,
                                      float lower) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int token = s.row + line() + i * 8;
    const float factor = i == 0 ? upper : lower;
#pragma unroll
    for (int j = 0; j < BLOCKS; ++j) {
      if (token < s.t && column(j) < s.c) {
        *reinterpret_cast<uint32_t*>(y + (s.first_token + token) * s.c + column(j)) =
            pack(out[j][2 * i] * factor, out[j][2 * i + 1] * factor);
      }
    }
  }
}

// The largest score of each of the lane's two rows up until now, and the sum of e^(score - largest).
struct Online {
  float largest[2] = {LOWEST, LOWEST}, sum[2] = {0.0f, 0.0f};

  // Turns a tile's products into weights, those of tokens from `token` on. What was summed before shrinks by `factor`.
  template <int TOKENS>
  __device__ __forceinline__ void weigh(float (&p)[TOKENS / 8][4], int token, int t, float scale, float (&factor)[2]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float most = largest[i], weights = 0.0f;
#pragma unroll
      for (int j = 0; j < TOKENS / 4; ++j) {
        float& score = p[j / 2][2 * i + j % 2];
        score = token + column(j / 2) + j % 2 < t ? scale * score : LOWEST;
        most = fmaxf(most, score);
      }
      most = row_max(most);
#pragma unroll
      for (int j = 0; j < TOKENS / 4; ++j) {
        float& score = p[j / 2][2 * i + j % 2];
        score = __expf(score - most);
        weights += score;
      }
      factor[i] = __expf(largest[i] - most);
      largest[i] = most;
      sum[i] = sum[i] * factor[i] + row_sum(weights);
    }
  }
};

// Dynamic shared memory: tiles of queries, keys and values. The next keys come while outputs are summed, the next
// values while scores are. WIDTH is C or more.
template <int WIDTH>
__device__ __forceinline__ void forward(bf16* y, const bf16* q, const bf16* k, const bf16* v, const Attention& g,
                                        float scale, bf16* shared) {
  constexpr int TOKENS = FORWARD_TILE;
  const Sequence s(g);
  bf16 *queries = shared, *keys = queries + ROWS * s.step, *values = keys + TOKENS * s.step;
  s.fetch<ROWS, WIDTH>(queries, q, s.row);
  s.fetch<TOKENS, WIDTH>(keys, k, 0);
  s.fetch<TOKENS, WIDTH>(values, v, 0);
  float out[WIDTH / 8][4] = {};
  Online online;
  for (int token = 0; token < s.t; token += TOKENS) {
    float weights[TOKENS / 8][4], factor[2];
    gpu::cp_async_wait<1>();  // for all but the values
    __syncthreads();
    products<TOKENS>(weights, s, queries, keys);
    __syncthreads();  // until all have read the keys
    if (token + TOKENS < s.t) s.fetch<TOKENS, WIDTH>(keys, k, token + TOKENS);
    online.weigh<TOKENS>(weights, token, s.t, scale, factor);
#pragma unroll
    for (int j = 0; j < WIDTH / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) out[j][i] *= factor[i / 2];
    }
    if (token + TOKENS < s.t) {
      gpu::cp_async_wait<1>();  // for all but the next keys
    } else {
      gpu::cp_async_wait<0>();
    }
    __syncthreads();
    add_weighted<TOKENS>(out, weights, s, values);
    __syncthreads();  // until all have read the values
    if (token + TOKENS < s.t) s.fetch<TOKENS, WIDTH>(values, v, token + TOKENS);
  }
  store(y, s, out, 1.0f / online.sum[0], 1.0f / online.sum[1]);
}

// Blocks (tiles of tokens of all sequences), as of the gradients.
KERNEL(THREADS) attention_forward_128(bf16* y, const bf16* q, const bf16* k, const bf16* v, Attention g, float scale) {
  DYN_SMEM(bf16, shared);
  forward<128>(y, q, k, v, g, scale, shared);
}
KERNEL(THREADS) attention_forward_256(bf16* y, const bf16* q, const bf16* k, const bf16* v, Attention g, float scale) {
  DYN_SMEM(bf16, shared);
  forward<256>(y, q, k, v, g, scale, shared);
}

// ---- Gradients: the block's rows of two tensors stay in shared memory, tiles of two others pass by ------------------

struct Tiles {
  bf16 *rows1, *rows2, *others1, *others2;

  __device__ __forceinline__ Tiles(bf16* shared, const Sequence& s) {
    rows1 = shared;
    rows2 = rows1 + ROWS * s.step;
    others1 = rows2 + ROWS * s.step;
    others2 = others1 + BACKWARD_TILE * s.step;
  }
};

// Calls f(first token of the tile, rows1 others1^T, rows2 others2^T) for each tile.
template <int WIDTH, class F>
__device__ __forceinline__ void for_tiles(const Sequence& s, const Tiles& tiles, const bf16* rows1, const bf16* rows2,
                                          const bf16* others1, const bf16* others2, F f) {
  s.fetch<ROWS, WIDTH>(tiles.rows1, rows1, s.row);
  s.fetch<ROWS, WIDTH>(tiles.rows2, rows2, s.row);
  for (int token = 0; token < s.t; token += BACKWARD_TILE) {
    __syncthreads();  // until all are done with the last tiles
    s.fetch<BACKWARD_TILE, WIDTH>(tiles.others1, others1, token);
    s.fetch<BACKWARD_TILE, WIDTH>(tiles.others2, others2, token);
    gpu::cp_async_wait<0>();
    __syncthreads();
    float p1[BACKWARD_TILE / 8][4], p2[BACKWARD_TILE / 8][4];
    products<BACKWARD_TILE>(p1, s, tiles.rows1, tiles.others1);
    products<BACKWARD_TILE>(p2, s, tiles.rows2, tiles.others2);
    f(token, p1, p2);
  }
}

typedef float Weights[BACKWARD_TILE / 8][4];

// stats [N, T, 2]: the logarithm of the sum of e^S, and D.
KERNEL(THREADS) attention_stats_mma(float* stats, const bf16* q, const bf16* k, const bf16* v, const bf16* dy,
                                    Attention g, float scale) {
  DYN_SMEM(bf16, shared);
  const Sequence s(g);
  Online online;
  float product[2] = {};
  for_tiles<256>(s, Tiles(shared, s), q, dy, k, v, [&](int token, Weights& weights, Weights& gradients) {
    float factor[2];
    online.weigh<BACKWARD_TILE>(weights, token, s.t, scale, factor);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float sum = 0.0f;
#pragma unroll
      for (int j = 0; j < BACKWARD_TILE / 4; ++j) sum += weights[j / 2][2 * i + j % 2] * gradients[j / 2][2 * i + j % 2];
      product[i] = product[i] * factor[i] + row_sum(sum);
    }
  });
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int token = s.row + line() + i * 8;
    if (threadIdx.x % 4 == 0 && token < s.t) {
      float* to = stats + 2 * (s.first_token + token);
      to[0] = online.largest[i] + logf(online.sum[i]);
      to[1] = product[i] / online.sum[i];
    }
  }
}

// Turns products into A where `values`, else into dS; `stats_of(row, column)` are those of the query.
template <class F>
__device__ __forceinline__ void weigh_again(Weights& p, const Weights& gradients, bool values, float scale, F stats_of) {
#pragma unroll
  for (int j = 0; j < BACKWARD_TILE / 8; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 stats = stats_of(i / 2, column(j) + i % 2);
      const float weight = __expf(scale * p[j][i] - stats.x);
      p[j][i] = values ? weight : scale * weight * (gradients[j][i] - stats.y);
    }
  }
}

// A query that is not there: e^(score - infinity) is 0.
__device__ __forceinline__ float2 stats_at(const float* stats, const Sequence& s, int token) {
  const float* of_token = stats + 2 * (s.first_token + min(token, s.t - 1));
  return make_float2(token < s.t ? of_token[0] : -LOWEST, of_token[1]);
}

// dq = dS k. Keys behind the end are zeros.
template <int WIDTH>
__device__ __forceinline__ void query_grad(bf16* dq, const bf16* q, const bf16* k, const bf16* v, const bf16* dy,
                                           const float* stats, const Attention& g, float scale, bf16* shared) {
  const Sequence s(g);
  const Tiles tiles(shared, s);
  const float2 of_rows[2] = {stats_at(stats, s, s.row + line()), stats_at(stats, s, s.row + line() + 8)};
  float out[WIDTH / 8][4] = {};
  for_tiles<WIDTH>(s, tiles, q, dy, k, v, [&](int, Weights& weights, Weights& gradients) {
    weigh_again(weights, gradients, false, scale, [&](int row, int) { return of_rows[row]; });
    add_weighted<BACKWARD_TILE>(out, weights, s, tiles.others1);
  });
  store(dq, s, out, 1.0f, 1.0f);
}

KERNEL(THREADS) attention_query_grad_128(bf16* dq, const bf16* q, const bf16* k, const bf16* v, const bf16* dy,
                                         const float* stats, Attention g, float scale) {
  DYN_SMEM(bf16, shared);
  query_grad<128>(dq, q, k, v, dy, stats, g, scale, shared);
}
KERNEL(THREADS) attention_query_grad_256(bf16* dq, const bf16* q, const bf16* k, const bf16* v, const bf16* dy,
                                         const float* stats, Attention g, float scale) {
  DYN_SMEM(bf16, shared);
  query_grad<256>(dq, q, k, v, dy, stats, g, scale, shared);
}

// dk = dS^T q, and dv = A^T dy by the blocks (.., 1): rows are keys, and queries pass by.
template <int WIDTH>
__device__ __forceinline__ void key_value_grad(bf16* dk, bf16* dv, const bf16* q, const bf16* k, const bf16* v,
                                               const bf16* dy, const float* stats, const Attention& g, float scale,
                                               bf16* shared) {
  const Sequence s(g);
  const Tiles tiles(shared, s);
  const bool values = blockIdx.y == 1;
  float out[WIDTH / 8][4] = {};
  for_tiles<WIDTH>(s, tiles, k, v, q, dy, [&](int token, Weights& weights, Weights& gradients) {
    weigh_again(weights, gradients, values, scale,
                [&](int, int other) { return stats_at(stats, s, token + other); });
    add_weighted<BACKWARD_TILE>(out, weights, s, values ? tiles.others2 : tiles.others1);
  });
  store(values ? dv : dk, s, out, 1.0f, 1.0f);
}

KERNEL(THREADS, 2) attention_key_value_grad_128(bf16* dk, bf16* dv, const bf16* q, const bf16* k, const bf16* v,
                                             const bf16* dy, const float* stats, Attention g, float scale) {
  DYN_SMEM(bf16, shared);
  key_value_grad<128>(dk, dv, q, k, v, dy, stats, g, scale, shared);
}
KERNEL(THREADS) attention_key_value_grad_256(bf16* dk, bf16* dv, const bf16* q, const bf16* k, const bf16* v,
                                             const bf16* dy, const float* stats, Attention g, float scale) {
  DYN_SMEM(bf16, shared);
  key_value_grad<256>(dk, dv, q, k, v, dy, stats, g, scale, shared);
}
