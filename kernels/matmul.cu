// Matrix products, row-major: C_i = alpha op(A_i) op(B_i) + beta C_i + bias, for each i of a batch, a bias for each
// column or none. op(A) [M,K], op(B) [K,N], C [M,N].
//
// v1: one thread an output. cuBLASLt does it where it is found.
#include "gpu.cuh"

constexpr int THREADS = 256;

// bias may be null.
KERNEL(THREADS) matmul_v1(T* c, const T* a, const T* b, const T* bias, Gemm g) {
  const size_t at = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= g.batch * g.m * g.n) return;
  const size_t i = at / (g.m * g.n), m = at / g.n % g.m, n = at % g.n;
  const size_t a_step = g.trans_a ? g.lda : 1, b_step = g.trans_b ? 1 : g.ldb;
  a += i * g.stride_a + (g.trans_a ? m : m * g.lda);
  b += i * g.stride_b + (g.trans_b ? n * g.ldb : n);
  c += i * g.stride_c + m * g.ldc + n;
  float sum = 0.0f;
  for (size_t k = 0; k < g.k; ++k) sum += to_float(a[k * a_step]) * to_float(b[k * b_step]);
  sum *= static_cast<float>(g.alpha);
  if (g.beta != 0.0) sum += static_cast<float>(g.beta) * to_float(*c);
  if (bias) sum += to_float(bias[n]);
  *c = from_float<T>(sum);
}
