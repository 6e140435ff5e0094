// One draw from the Gaussian posterior of each sample [N, size] in one pass:
//   x_t = a x_0 + b x_{t+1} + s noise,
// with a, b, s [3, N]; without noise where s is 0. The noise is given, or drawn in registers: element i is position i
// of its sequence.
#include "quads.cuh"

template <class F>
__device__ __forceinline__ void sample_posterior(T* x_t, const T* x0, const T* x_t1, const float* coefficients,
                                                 size_t samples, size_t size, F noise_of) {
  const size_t n = samples * size;
  for_quads(n, [&](size_t i) {
    const Four x = load4(x0, i, n), next = load4(x_t1, i, n), noise = noise_of(i);
    const SampleOf sample(i, samples, size);
    Four drawn;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float* of_sample = coefficients + sample[j];
      const float mean = of_sample[0] * x.at[j] + of_sample[samples] * next.at[j], s = of_sample[2 * samples];
      drawn.at[j] = s == 0.0f ? mean : mean + s * noise.at[j];
    }
    store4(x_t, i, n, drawn);
  });
}

KERNEL(QUAD_THREADS) posterior_sample_given(T* x_t, const T* x0, const T* x_t1, const T* noise,
                                            const float* coefficients, size_t samples, size_t size) {
  const size_t n = samples * size;
  sample_posterior(x_t, x0, x_t1, coefficients, samples, size, [=](size_t i) { return load4(noise, i, n); });
}

KERNEL(QUAD_THREADS) posterior_sample_drawn(T* x_t, const T* x0, const T* x_t1, const float* pieces,
                                            const float* coefficients, size_t samples, size_t size) {
  const Key key = key_at(pieces);
  sample_posterior(x_t, x0, x_t1, coefficients, samples, size, [=](size_t i) { return normal4(key, i); });
}
