// Two neighbouring noisy images of each sample [N, size] in one pass:
//   x_t = a x_0 + b noise_t, x_{t+1} = c x_t + d noise_{t+1},
// with a, b, c, d [4, N]. The noise is given, or drawn in registers: element i is position i of its sequence.
#include "quads.cuh"

template <class F>
__device__ __forceinline__ void pair(T* x_t, T* x_t1, const T* x0, const float* coefficients, size_t samples,
                                     size_t size, F noises) {
  const size_t n = samples * size;
  for_quads(n, [&](size_t i) {
    const Four x = load4(x0, i, n);
    Four noise_t, noise_t1;
    noises(i, noise_t, noise_t1);
    const SampleOf sample(i, samples, size);
    Four now, next;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float* of_sample = coefficients + sample[j];
      now.at[j] = of_sample[0] * x.at[j] + of_sample[samples] * noise_t.at[j];
      next.at[j] = of_sample[2 * samples] * now.at[j] + of_sample[3 * samples] * noise_t1.at[j];
    }
    store4(x_t, i, n, now);
    store4(x_t1, i, n, next);
  });
}

KERNEL(QUAD_THREADS) forward_noise_given(T* x_t, T* x_t1, const T* x0, const T* noise_t, const T* noise_t1,
                                         const float* coefficients, size_t samples, size_t size) {
  const size_t n = samples * size;
  pair(x_t, x_t1, x0, coefficients, samples, size, [=](size_t i, Four& a, Four& b) {
    a = load4(noise_t, i, n);
    b = load4(noise_t1, i, n);
  });
}

KERNEL(QUAD_THREADS) forward_noise_drawn(T* x_t, T* x_t1, const T* x0, const float* key_t,
                                         const float* key_t1, const float* coefficients, size_t samples, size_t size) {
  const Key now = key_at(key_t), next = key_at(key_t1);
  pair(x_t, x_t1, x0, coefficients, samples, size, [=](size_t i, Four& a, Four& b) {
    a = normal4(now, i);
    b = normal4(next, i);
  });
}
