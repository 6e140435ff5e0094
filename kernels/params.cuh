// The structs that kernels take, as src/backend/params.rs and philox.rs have them. The build compares the two.
#pragma once
#include <stddef.h>

struct Key {
  unsigned long long seed;
  unsigned long long stream;
};

struct SumSizes {
  size_t outer;
  size_t middle;
  size_t inner;
  size_t chunk;
};

struct AdamStep {
  float beta1;
  float rest1;
  float beta2;
  float rest2;
  float step_size;
  float root;
  float eps;
  float ema_decay;
  float ema_rest;
};

struct Gemm {
  size_t m;
  size_t n;
  size_t k;
  size_t lda;
  size_t ldb;
  size_t ldc;
  size_t batch;
  size_t stride_a;
  size_t stride_b;
  size_t stride_c;
  bool trans_a;
  bool trans_b;
  double alpha;
  double beta;
};
