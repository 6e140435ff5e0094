// C = A B by tiles on tensor cores: bf16, with sums in float. A and B are matrices as share.cuh has them; their numbers
// come to shared memory 16 bytes at a time, in the background while earlier ones are used.
#pragma once
#include "piece.cuh"
#include "share.cuh"

// How much of k a stage holds, how many stages are under way, and the numbers of 16 bytes.
constexpr int MMA_DEPTH = 32, MMA_STAGES = 4, CHUNK = 8;

// Neighbouring sums of a row.
using Run = Floats<CHUNK>;

// An operand's part of a stage: WIDTH rows of A or columns of B. A line of shared memory runs along k if BY_K, as
// neighbours in memory do, else across it.
template <int WIDTH, bool BY_K>
struct Operand {
  static constexpr int LINES = BY_K ? WIDTH : MMA_DEPTH, LENGTH = BY_K ? MMA_DEPTH : WIDTH;
  // One chunk more, so that eight lines below each other lie in different banks.
  static constexpr int STEP = LENGTH + CHUNK, SIZE = LINES * STEP;

  template <int THREADS, class Matrix>
  using Fetch = Share<Matrix, LINES, LENGTH, CHUNK, THREADS, BY_K>;

  template <int THREADS, class Matrix>
  static __device__ __forceinline__ void fetch(bf16* to, const Fetch<THREADS, Matrix>& share, unsigned k0) {
    share.load(k0, [&](int line, int column, const bf16* from, bool there) {
      gpu::cp_async16(to + line * STEP + column, from, there);
    });
  }

  // Four 8x8 blocks, lane l naming a line of block l / 8, which begins at row i and depth k.
  static __device__ __forceinline__ void load(uint32_t (&r)[4], const bf16* stage, int i, int k) {
    const int line = threadIdx.x % 8;
    if (BY_K) {
      gpu::ldmatrix_x4(r, stage + (i + line) * STEP + k);
    } else {
      gpu::ldmatrix_x4_trans(r, stage + (k + line) * STEP + i);
    }
  }
};

// Tiles of ROWS x COLUMNS by WARPS_DOWN x WARPS_ACROSS warps.
template <int ROWS, int COLUMNS, int WARPS_DOWN, int WARPS_ACROSS, bool A_BY_K, bool B_BY_K>
struct Mma {
  typedef Operand<ROWS, A_BY_K> OfA;
  typedef Operand<COLUMNS, B_BY_K> OfB;
  static constexpr int THREADS = 32 * WARPS_DOWN * WARPS_ACROSS, STAGE = OfA::SIZE + OfB::SIZE;
  static constexpr int DOWN = ROWS / WARPS_DOWN / 16, ACROSS = COLUMNS / WARPS_ACROSS / 8;  // a warp's 16x8 blocks
  static constexpr int TILE_STEP = COLUMNS + 8;  // so that four rows below each other lie in different banks
  static_assert(ROWS * TILE_STEP * sizeof(float) <= MMA_STAGES * STAGE * sizeof(bf16), "all sums fit in the stages");

  // Calls put(m, n, sums over k of a(m, k) b(n..n + 8, k)), k from `begin` to `end`, for the tile at (m0, n0). `shared`
  // has MMA_STAGES stages.
  template <class A, class B, class Put>
  static __device__ __forceinline__ void multiply(bf16* shared, unsigned m0, unsigned n0, unsigned begin, unsigned end,
                                                  const A& a, const B& b, Put put) {
    static_assert(ACROSS % 2 == 0, "blocks of B are loaded in pairs");
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, block = lane / 8;
    const int row = warp / WARPS_ACROSS * (DOWN * 16), column = warp % WARPS_ACROSS * (ACROSS * 8);
    const unsigned steps = (end - begin + MMA_DEPTH - 1) / MMA_DEPTH;
    const typename OfA::template Fetch<THREADS, A> share_a(a, m0);
    const typename OfB::template Fetch<THREADS, B> share_b(b, n0);
    const auto fetch = [&](unsigned step) {
      if (step < steps) {
        bf16* stage = shared + step % MMA_STAGES * STAGE;
        OfA::template fetch<THREADS, A>(stage, share_a, begin + step * MMA_DEPTH);
        OfB::template fetch<THREADS, B>(stage + OfA::SIZE, share_b, begin + step * MMA_DEPTH);
      }
      gpu::cp_async_commit();  // an empty group where nothing is left, so that counting them stays right
    };
    for (unsigned step = 0; step < MMA_STAGES - 1; ++step) fetch(step);

    float sums[DOWN][ACROSS][4] = {};
    for (unsigned step = 0; step < steps; ++step) {
      gpu::cp_async_wait<MMA_STAGES - 2>();
      // This stage is there for all threads, and all are done with the one that is fetched into next.
      __syncthreads();
      fetch(step + MMA_STAGES - 1);
      const bf16* of_a = shared + step % MMA_STAGES * STAGE;
      const bf16* of_b = of_a + OfA::SIZE;
#pragma unroll
      for (int k = 0; k < MMA_DEPTH; k += 16) {
        uint32_t of_rows[DOWN][4], of_columns[ACROSS / 2][4];
#pragma unroll
        for (int i = 0; i < DOWN; ++i) OfA::load(of_rows[i], of_a, row + i * 16 + block % 2 * 8, k + block / 2 * 8);
#pragma unroll
        for (int j = 0; j < ACROSS / 2; ++j) {
          OfB::load(of_columns[j], of_b, column + j * 16 + block / 2 * 8, k + block % 2 * 8);
        }
#pragma unroll
        for (int i = 0; i < DOWN; ++i) {
#pragma unroll
          for (int j = 0; j < ACROSS; ++j) {
            const uint32_t pair[2] = {of_columns[j / 2][j % 2 * 2], of_columns[j / 2][j % 2 * 2 + 1]};
            gpu::mma_m16n8k16(sums[i][j], of_rows[i], pair, bf16());
          }
        }
      }
    }
    // A thread has sums from all over its warp's part of the tile. Through shared memory they come in rows, as memory
    // wants them.
    float* tile = reinterpret_cast<float*>(shared);
    __syncthreads();  // until the last stage is read
#pragma unroll
    for (int i = 0; i < DOWN; ++i) {
#pragma unroll
      for (int j = 0; j < ACROSS; ++j) {
        float* at = tile + (row + i * 16 + lane / 4) * TILE_STEP + column + j * 8 + lane % 4 * 2;
        *reinterpret_cast<float2*>(at) = make_float2(sums[i][j][0], sums[i][j][1]);
        *reinterpret_cast<float2*>(at + 8 * TILE_STEP) = make_float2(sums[i][j][2], sums[i][j][3]);
      }
    }
    __syncthreads();
#pragma unroll 1
    for (int i = threadIdx.x; i < ROWS * COLUMNS / CHUNK; i += THREADS) {
      const int m = i / (COLUMNS / CHUNK), n = i % (COLUMNS / CHUNK) * CHUNK;
      Run run;
#pragma unroll
      for (int j = 0; j < CHUNK; j += 4) {
        const Piece<float, 4> part = load<4>(tile + m * TILE_STEP + n + j);
#pragma unroll
        for (int k = 0; k < 4; ++k) run.at[j + k] = part.at[k];
      }
      put(m0 + m, n0 + n, run);
    }
  }
};
