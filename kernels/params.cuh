// The structs that kernels take, as src/backend/params.rs and philox.rs have them. The build compares the two.
#pragma once
#include <stddef.h>

struct Key {
  unsigned long long seed;
  unsigned long long stream;
};

struct Divisor {
  unsigned by;
  unsigned multiplier;
  unsigned shift;
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
  float eps;
  float ema_decay;
  float ema_rest;
};

struct AdamChunk {
  float* w;
  float* m;
  float* v;
  float* ema;
  const float* g;
  size_t n;
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

struct Resample {
  size_t n;
  size_t h;
  size_t w;
  size_t c;
  size_t p;
  size_t q;
  size_t up;
  size_t down;
  long long pad_top;
  long long pad_left;
};

struct Pool2d {
  size_t n;
  size_t h;
  size_t w;
  size_t c;
  size_t p;
  size_t q;
  size_t size;
  size_t stride;
  size_t pad;
  bool average;
};

struct Taps {
  size_t count;
  float at[32];
};

struct GroupNorm {
  size_t n;
  size_t hw;
  size_t c;
  size_t groups;
  double eps;
  bool per_sample;
  bool silu;
};

struct GroupTiles {
  unsigned width;
  Divisor group_size;
  Divisor across;
};

struct Conv2d {
  size_t n;
  size_t h;
  size_t w;
  size_t c;
  size_t k;
  size_t r;
  size_t s;
  size_t p;
  size_t q;
  size_t stride;
  size_t pad[4];
};

struct Conv2dIndex {
  unsigned n;
  Divisor h;
  Divisor w;
  Divisor c;
  Divisor k;
  unsigned r;
  Divisor s;
  Divisor p;
  Divisor q;
  Divisor stride;
  int top;
  int left;
};

struct Attention {
  size_t n;
  size_t t;
  size_t c;
};
