// Division of a number below 2^31 by one that all threads share: see Divisor in src/backend/params.rs.
#pragma once
#include "gpu.cuh"

__device__ __forceinline__ unsigned operator/(unsigned n, const Divisor& d) {
  return __umulhi(2 * n, d.multiplier) >> d.shift;
}
__device__ __forceinline__ unsigned operator%(unsigned n, const Divisor& d) { return n - n / d * d.by; }
