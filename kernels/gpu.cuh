// What every kernel includes: one spelling that nvcc compiles for GPUs and g++ for the stand-in driver
// (tests/emulator). Inline PTX stands here and nowhere else, each wrapper with a twin for the host in
// tests/emulator/dialect.
#pragma once
#ifdef __CUDACC__
#include <assert.h>
#include <cuda_bf16.h>
#include <stdint.h>

// KERNEL(threads) name(parameters): a kernel that the build finds, for blocks of so many threads.
#define KERNEL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)

// Dynamic shared memory: `DYN_SMEM(float, tile);` gives `float* tile`, aligned to 16 bytes.
#define DYN_SMEM(type, name)                                      \
  extern __shared__ __align__(16) unsigned char dynamic_shared[]; \
  type* name = reinterpret_cast<type*>(dynamic_shared)

typedef __nv_bfloat16 bf16;

namespace gpu {

// D = A(16x16, row-major) B(16x8, column-major) + D on tensor cores, in fragments as PTX lays them out.
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bf16) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8x8 matrices of 16-bit numbers; lane l passes the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// The same, with each matrix transposed.
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// Copies 16 bytes from global to shared memory in the background; if not `ok`, reads nothing and writes zeros.
__device__ __forceinline__ void cp_async16(void* to, const void* from, bool ok = true) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = ok ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(bytes) : "memory");
}
// The copies begun since the last commit become a group.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
// Waits until at most KEEP groups are still under way.
template <int KEEP>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(KEEP) : "memory");
}

// 2^x and 1 / x to some 2^-22, an instruction each; what is too small for the number format is 0.
__device__ __forceinline__ float approximate_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float approximate_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

// A plain read of what other threads change with atomics.
template <class N>
__device__ __forceinline__ N load_relaxed(const N* p) {
  return *static_cast<const volatile N*>(p);
}

// A barrier for `threads` threads of the block, a multiple of 32; __syncthreads is number 0.
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;\n" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace gpu
#else
#include "dialect.h"
typedef __nv_bfloat16 bf16;
#endif

#include "params.cuh"

// A source whose kernels take T is compiled once for each number type. Arithmetic is in float.
#ifdef NUMBER
typedef NUMBER T;
#endif

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }

template <class N>
__device__ __forceinline__ N from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) { return x; }
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x) { return __float2bfloat16(x); }

namespace gpu {

// The sum over a warp, in every lane; always added in the same order.
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, distance));
  return x;
}

}  // namespace gpu
