// What the dialect's built-ins give. On a GPU the same tests check the tests.
#include "../../../kernels/gpu.cuh"

KERNEL(64) warp_functions(int* out) {  // out [threads, 16]
  const int t = blockIdx.x * blockDim.x + threadIdx.x, l = threadIdx.x & 31;
  const unsigned all = 0xffffffffu;
  int* o = out + t * 16;
  o[0] = __shfl_sync(all, l * 10, 5);
  o[1] = __shfl_sync(all, l * 10, l + 3, 8);
  o[2] = __shfl_up_sync(all, l * 10, 2);
  o[3] = __shfl_up_sync(all, l * 10, 3, 16);
  o[4] = __shfl_down_sync(all, l * 10, 2);
  o[5] = __shfl_down_sync(all, l * 10, 3, 8);
  o[6] = __shfl_xor_sync(all, l * 10, 5);
  o[7] = static_cast<int>(__ballot_sync(all, l % 3 == 0));
  o[8] = __any_sync(all, l == 31) + 2 * __all_sync(all, l >= 0) + 4 * __any_sync(all, l > 31) + 8 * __all_sync(all, l != 7);
  o[9] = static_cast<int>(__match_any_sync(all, l / 4));
  o[10] = __reduce_add_sync(all, l) + __reduce_max_sync(all, l);
  o[11] = static_cast<int>(__shfl_xor_sync(all, 1.5 * l, 1) * 2.0);
  // The two halves of the warp do different things at the same time.
  o[12] = l < 16 ? __shfl_xor_sync(0x0000ffffu, l, 1) : __shfl_xor_sync(0xffff0000u, l * 100, 2);
  o[13] = __syncthreads_count(l < 5);
  o[14] = (__syncthreads_and(l >= 0) != 0) + 2 * (__syncthreads_and(l != 3) != 0) +
          4 * (__syncthreads_or(threadIdx.x == 1) != 0) + 8 * (__syncthreads_or(l < 0) != 0);
  o[15] = static_cast<int>(gpu::warp_sum(static_cast<float>(l)));
}

KERNEL(32) bit_functions(const unsigned* in, unsigned* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const unsigned x = in[i], y = in[(i + 1) % n];
  unsigned* o = out + i * 8;
  o[0] = __popc(x);
  o[1] = __clz(static_cast<int>(x));
  o[2] = __ffs(static_cast<int>(x));
  o[3] = __brev(x);
  o[4] = __umulhi(x, y);
  o[5] = __funnelshift_l(x, y, 7);
  o[6] = __funnelshift_r(x, y, 7);
  o[7] = __float_as_uint(__uint_as_float(x));
}

KERNEL(128) approximations(const float* in, float* exp2, float* reciprocal, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  exp2[i] = gpu::approximate_exp2(in[i]);
  reciprocal[i] = gpu::approximate_reciprocal(in[i]);
}

KERNEL(128) bfloat16(const float* in, bf16* rounded, bf16* sum, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  rounded[i] = __float2bfloat16(in[i]);
  sum[i] = __hadd(__float2bfloat16(in[i]), __float2bfloat16(in[(i + 1) % n]));
}

KERNEL(128) atomics(float* f, int* i, unsigned* u, int n) {
  const int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= n) return;
  atomicAdd(&f[t % 7], 1.0f);
  atomicAdd(&i[0], t);
  atomicMax(&i[1], t);
  atomicMin(&i[2], -t);
  atomicInc(&u[0], 9);
  atomicOr(&u[1], 1u << (t % 32));
  unsigned seen = gpu::load_relaxed(&u[2]), assumed;
  do {
    assumed = seen;
    seen = atomicCAS(&u[2], assumed, assumed + 3);
  } while (seen != assumed);
}

// Two pairs of warps, each with a barrier of its own.
KERNEL(128) named_barriers(float* out) {
  __shared__ float s[128];
  const int pair = threadIdx.x / 64, l = threadIdx.x % 64;
  for (int i = 0; i < 3 + pair; ++i) {
    s[threadIdx.x] = static_cast<float>(l + i);
    gpu::named_barrier(1 + pair, 64);
    const float v = s[pair * 64 + 63 - l];
    gpu::named_barrier(1 + pair, 64);
    out[threadIdx.x] = v;
  }
}

KERNEL(8) grid_axes(int* out) {
  const int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[b * blockDim.x + threadIdx.x] = b * 1000 + threadIdx.x;
}

// d [2,16,8] = a [16,16] b [8,16]^T by one tensor-core instruction, its operands fetched by cp.async and ldmatrix; then
// once more from their transposes.
KERNEL(32) tensor_core(float* d, const bf16* a, const bf16* b) {
  __shared__ __align__(16) bf16 sa[16][16];
  __shared__ __align__(16) bf16 sb[16][16];  // rows 8 .. 15 are zeros
  const int l = threadIdx.x;
  gpu::cp_async16(&sa[l / 2][l % 2 * 8], a + l * 8);
  gpu::cp_async16(&sb[l / 2][l % 2 * 8], l < 16 ? b + l * 8 : b, l < 16);
  gpu::cp_async_commit();
  gpu::cp_async_wait<0>();
  __syncwarp();
  uint32_t ra[4], rb[4];
  gpu::ldmatrix_x4(ra, &sa[l % 16][l / 16 * 8]);
  gpu::ldmatrix_x4(rb, &sb[l % 16][l / 16 * 8]);
  const uint32_t columns[2] = {rb[0], rb[2]};
  float sum[4] = {};
  gpu::mma_m16n8k16(sum, ra, columns, bf16());
  for (int i = 0; i < 4; ++i) d[(l / 4 + i / 2 * 8) * 8 + l % 4 * 2 + i % 2] = sum[i];

  __shared__ __align__(16) bf16 ta[16][16], tb[16][16];
  for (int i = l; i < 256; i += 32) {
    ta[i % 16][i / 16] = sa[i / 16][i % 16];
    tb[i % 16][i / 16] = sb[i / 16][i % 16];
  }
  __syncwarp();
  gpu::ldmatrix_x4_trans(ra, &ta[l / 16 * 8 + l % 8][l / 8 % 2 * 8]);
  gpu::ldmatrix_x4_trans(rb, &tb[l / 8 % 2 * 8 + l % 8][l / 16 * 8]);
  const uint32_t again[2] = {rb[0], rb[1]};
  float other[4] = {};
  gpu::mma_m16n8k16(other, ra, again, bf16());
  for (int i = 0; i < 4; ++i) d[128 + (l / 4 + i / 2 * 8) * 8 + l % 4 * 2 + i % 2] = other[i];
}

KERNEL(4) language(float* out, const float* in) {  // printf, assert, a constexpr lambda
  constexpr auto twice = [](int v) { return 2 * v; };
  static_assert(twice(4) == 8, "");
  assert(blockDim.x == 4);
  if (threadIdx.x == 3) printf("thread %d is given %g\n", static_cast<int>(threadIdx.x), in[0]);
  out[threadIdx.x] = static_cast<float>(twice(static_cast<int>(threadIdx.x)));
}
