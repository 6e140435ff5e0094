// y = x^p, element by element. Square roots and whole powers up to 4, which normalisations are made of, do without
// the general power function.
#include "map.cuh"

KERNEL(MAP_THREADS) power_forward(T* y, const T* x, float p, size_t n) {
  const float twice = fabsf(2.0f * p);
  if (twice == floorf(twice) && twice <= 8.0f) {
    const int whole = static_cast<int>(twice) / 2;
    const bool half = static_cast<int>(twice) % 2 == 1;
    map(y, n, [=](float x) {
      float power = half ? sqrtf(x) : 1.0f;
      for (int i = 0; i < whole; ++i) power *= x;
      return p < 0.0f ? 1.0f / power : power;
    }, x);
  } else {
    map(y, n, [=](float x) { return powf(x, p); }, x);
  }
}
