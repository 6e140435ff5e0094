// Leaky ReLU: y = x where x > 0, slope x elsewhere; and the same selection applied to a gradient.
#include "map.cuh"

KERNEL(MAP_THREADS) leaky_relu_forward(T* y, const T* x, float slope, size_t n) {
  map(y, n, [=](float x) { return x > 0.0f ? x : slope * x; }, x);
}

KERNEL(MAP_THREADS) leaky_relu_backward(T* dx, const T* x, const T* dy, float slope, size_t n) {
  map(dx, n, [=](float x, float dy) { return x > 0.0f ? dy : slope * dy; }, x, dy);
}
