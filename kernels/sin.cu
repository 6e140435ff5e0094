// y = sin(x), element by element.
#include "map.cuh"

KERNEL(MAP_THREADS) sin_forward(T* y, const T* x, size_t n) {
  map(y, n, [](float x) { return sinf(x); }, x);
}
