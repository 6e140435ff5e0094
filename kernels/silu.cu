// SiLU: y = x sigmoid(x), and dx = dy s (1 + x (1 - s)) with s = sigmoid(x).
#include "map.cuh"

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

KERNEL(MAP_THREADS) silu_forward(T* y, const T* x, size_t n) {
  map(y, n, [](float x) { return x * sigmoid(x); }, x);
}

KERNEL(MAP_THREADS) silu_backward(T* dx, const T* x, const T* dy, size_t n) {
  map(dx, n, [](float x, float dy) {
    const float s = sigmoid(x);
    return dy * s * (1.0f + x * (1.0f - s));
  }, x, dy);
}
