// softplus: y = log(1 + e^x), and its derivative, the logistic sigmoid.
#include "map.cuh"

KERNEL(MAP_THREADS) softplus_forward(T* y, const T* x, size_t n) {
  // No overflow for large x, no cancellation for small.
  map(y, n, [](float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }, x);
}

KERNEL(MAP_THREADS) softplus_sigmoid(T* y, const T* x, size_t n) {
  map(y, n, [](float x) { return 1.0f / (1.0f + expf(-x)); }, x);
}
