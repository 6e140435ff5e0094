// y = tanh(x), element by element.
#include "map.cuh"

KERNEL(MAP_THREADS) tanh_forward(T* y, const T* x, size_t n) {
  map(y, n, [](float x) { return tanhf(x); }, x);
}
