// One step of Adam of one tensor, and of its moving average, in one pass:
//   m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
//   w = w - step_size m / (sqrt(v) / root + eps), ema = decay ema + (1 - decay) w,
// where step_size = lr / (1 - beta1^step) and root = sqrt(1 - beta2^step); nothing unless health is 0. These three are
// in memory, so that a graph that holds the launch serves all steps.
#include "gpu.cuh"

constexpr int THREADS = 256;

// of_step holds step_size and root; ema may be null.
KERNEL(THREADS) adam_step(float* w, float* m, float* v, float* ema, const T* g, const float* of_step,
                          const float* health, AdamStep p, size_t n) {
  if (!(health[0] == 0.0f)) return;
  const float step_size = of_step[0], root = of_step[1];
  const size_t threads = size_t(gridDim.x) * THREADS;
  for (size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x; i < n; i += threads) {
    const float gradient = to_float(g[i]);
    const float m1 = p.beta1 * m[i] + p.rest1 * gradient;
    const float v1 = p.beta2 * v[i] + p.rest2 * gradient * gradient;
    const float w1 = w[i] - step_size * m1 / (sqrtf(v1) / root + p.eps);
    m[i] = m1;
    v[i] = v1;
    w[i] = w1;
    if (ema) ema[i] = p.ema_decay * ema[i] + p.ema_rest * w1;
  }
}
