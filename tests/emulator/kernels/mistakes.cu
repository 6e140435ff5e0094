// Kernels with mistakes, to see what is caught; and a few right ones that a naive check would report.
#include "../../../kernels/gpu.cuh"

KERNEL(1024) write_past_end(float* out, int n) {  // `<=` for `<`
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) out[i] = 1.0f;
}
KERNEL(1024) read_past_end(float* out, const float* in, int n) {  // a neighbour without a bound
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i] + in[i + 1];
}
KERNEL(1024) write_before(float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i - 1] = 1.0f;
}
KERNEL(1024) wrong_stride(float* out, int rows, int columns) {  // rows and columns confused
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < rows * columns) out[(i % columns) * columns + i / columns] = 1.0f;
}
// Right: reverses each block's piece through shared memory.
KERNEL(1024) reverse(float* out, const float* in) {
  __shared__ float s[256];
  const int base = blockIdx.x * 256;
  s[threadIdx.x] = in[base + threadIdx.x];
  __syncthreads();
  out[base + threadIdx.x] = s[255 - threadIdx.x];
}
KERNEL(1024) no_barrier(float* out, const float* in) {
  __shared__ float s[256];
  const int base = blockIdx.x * 256;
  s[threadIdx.x] = in[base + threadIdx.x];
  out[base + threadIdx.x] = s[255 - threadIdx.x];
}
KERNEL(1024) no_barrier_in_loop(float* out, const float* in, int tiles) {  // none after the use
  __shared__ float s[256];
  float sum = 0.0f;
  for (int t = 0; t < tiles; ++t) {
    s[threadIdx.x] = in[t * 256 + threadIdx.x];
    __syncthreads();
    sum += s[255 - threadIdx.x];
  }
  out[threadIdx.x] = sum;
}
KERNEL(1024) lock_step(float* out, const float* in) {  // needs __syncwarp
  __shared__ float s[32];
  s[threadIdx.x] = in[threadIdx.x];
  for (int o = 16; o > 0; o >>= 1)
    if (static_cast<int>(threadIdx.x) < o) s[threadIdx.x] += s[threadIdx.x + o];
  out[threadIdx.x] = s[0];
}
KERNEL(1024) shuffle_for_barrier(float* out) {  // a shuffle does not order memory
  __shared__ float s[32];
  s[threadIdx.x] = static_cast<float>(threadIdx.x);
  const float zero = 0.0f * __shfl_xor_sync(0xffffffffu, 1.0f, 1);
  out[threadIdx.x] = s[31 - threadIdx.x] + zero;
}
KERNEL(1024) lost_update(float* out) {  // needs atomicAdd
  __shared__ float s[1];
  if (threadIdx.x == 0) s[0] = 0.0f;
  __syncthreads();
  s[0] += 1.0f;
  __syncthreads();
  out[threadIdx.x] = s[0];
}
KERNEL(1024) blocks_race(float* out) { out[0] += 1.0f; }
KERNEL(1024) divergent_barrier(float* out) {
  if (threadIdx.x < 16) __syncthreads();
  else __syncthreads();
  out[threadIdx.x] = 1.0f;
}
KERNEL(1024) shuffle_in_branch(float* out) {  // half a warp, full mask
  float v = static_cast<float>(threadIdx.x);
  if (threadIdx.x < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
  else __syncwarp();
  out[threadIdx.x] = v;
}
KERNEL(1024) shuffle_after_exit(float* out, int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  out[threadIdx.x] = gpu::warp_sum(1.0f);
}
KERNEL(1024) uninitialised_shared(float* out) {
  __shared__ float s[64];
  if (threadIdx.x < 32) s[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];  // the upper half was never written
}
KERNEL(1024) shared_index(float* out, int shift) {
  __shared__ float s[64];
  __shared__ float other[64];
  s[threadIdx.x] = other[threadIdx.x] = 0.0f;
  __syncthreads();
  s[threadIdx.x + shift] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = other[threadIdx.x] + s[threadIdx.x];
}
KERNEL(1024) dynamic_shared(float* out) {  // a float a thread; the launch gives fewer
  DYN_SMEM(float, s);
  s[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}
KERNEL(1024) no_copy_wait(float* out, const float* in) {
  __shared__ __align__(16) float s[128];
  gpu::cp_async16(&s[threadIdx.x * 4], &in[threadIdx.x * 4]);
  gpu::cp_async_commit();
  __syncthreads();
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = s[127 - (threadIdx.x * 4 + i)];
}
KERNEL(1024) misaligned(float* out, const float* in) {
  const float4 v = *reinterpret_cast<const float4*>(&in[threadIdx.x * 4 + 1]);
  out[threadIdx.x] = v.x + v.w;
}
KERNEL(1024) local_index(float* out, int k) {
  float a[4] = {1.0f, 2.0f, 3.0f, 4.0f};
  for (int i = 0; i <= k; ++i) a[i] += out[i];
  out[threadIdx.x] = a[threadIdx.x & 3];
}
KERNEL(1024) divide(int* out, int d) { out[threadIdx.x] = 100 / d; }
KERNEL(1024) asserts(int* out, int n) {
  assert(static_cast<int>(threadIdx.x) < n);
  out[threadIdx.x] = 1;
}
KERNEL(1024) large_stack(float* out, int n) {
  volatile char some[65536];
  some[n] = 1;
  volatile char more[262144];
  more[n] = some[n];
  out[0] = more[n];
}
// Right, if it is launched so: C [M,N] = A [M,K] B [N,K]^T, a thread an output.
KERNEL(1024) product(float* c, const float* a, const float* b, int m, int n, int k) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= m * n) return;
  float sum = 0.0f;
  for (int j = 0; j < k; ++j) sum += a[i / n * k + j] * b[i % n * k + j];
  c[i] = sum;
}

// ---- right ----

KERNEL(1024) blocks_atomic(float* out) { atomicAdd(out, 1.0f); }
// The last block to finish goes on, after a fence and an atomic counter.
KERNEL(1024) last_block(float* out, float* part, unsigned* count) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    part[blockIdx.x] = 1.0f + blockIdx.x;
    __threadfence();
    last = atomicInc(count, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float s = 0.0f;
    for (int i = 0; i < static_cast<int>(gridDim.x); ++i) s += part[i];
    out[0] = s;
  }
}
// Neighbours write halves of a word.
KERNEL(1024) halves(bf16* out) {
  __shared__ bf16 s[64];
  s[threadIdx.x] = __float2bfloat16(static_cast<float>(threadIdx.x));
  __syncthreads();
  out[threadIdx.x] = s[63 - threadIdx.x];
}
// Halves of words changed in place: one's own, or others' that they may have changed.
KERNEL(1024) halves_in_place(float* out, int reach) {
  unsigned short* halves = reinterpret_cast<unsigned short*>(out);
  halves[threadIdx.x] = threadIdx.x % 2 ? 0x3f80 : 0;  // of 1.0f
  __syncthreads();
  halves[threadIdx.x] = halves[(threadIdx.x + reach) % blockDim.x];
}
// A warp alone works through shared memory with __syncwarp.
KERNEL(1024) warp_shared(float* out) {
  __shared__ float s[2][32];
  const int w = threadIdx.x / 32, l = threadIdx.x % 32;
  for (int i = 0; i < 5; ++i) {
    s[w][l] = static_cast<float>(l + i);
    __syncwarp();
    const float v = s[w][31 - l];
    __syncwarp();
    out[threadIdx.x] = v;
  }
}
