// Every sample times a number of its own: y[n, i] = a[n] x[n, i], samples [N, size].
#include "quads.cuh"

KERNEL(QUAD_THREADS) scale_samples_forward(T* y, const T* x, const T* a, size_t samples, size_t size) {
  const size_t n = samples * size;
  for_quads(n, [=](size_t i) {
    Four four = load4(x, i, n);
    const SampleOf sample(i, samples, size);
#pragma unroll
    for (int j = 0; j < 4; ++j) four.at[j] *= to_float(a[sample[j]]);
    store4(y, i, n, four);
  });
}
