// One step of Adam of all parameters, and of their moving averages, in one launch and one pass:
//   m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
//   w = w - step_size m / (sqrt(v) / root + eps), ema = decay ema + (1 - decay) w,
// where step_size = lr / (1 - beta1^step) and root = sqrt(1 - beta2^step); nothing unless health is 0. These three are
// in memory, so that a graph that holds the launch serves all steps.
#include "gpu.cuh"

constexpr int THREADS = 256;

// A block for each of the chunks that parameters are cut into; of_step holds step_size and root.
KERNEL(THREADS) adam_step(const AdamChunk* chunks, const float* of_step, const float* health, AdamStep p) {
  if (!(health[0] == 0.0f)) return;
  const AdamChunk at = chunks[blockIdx.x];
  const float step_size = of_step[0], root = of_step[1];
  for (size_t i = threadIdx.x; i < at.n; i += THREADS) {
    const float gradient = at.g[i];
    const float m1 = p.beta1 * at.m[i] + p.rest1 * gradient;
    const float v1 = p.beta2 * at.v[i] + p.rest2 * gradient * gradient;
    const float w1 = at.w[i] - step_size * m1 / (sqrtf(v1) / root + p.eps);
    at.m[i] = m1;
    at.v[i] = v1;
    at.w[i] = w1;
    if (at.ema) at.ema[i] = p.ema_decay * at.ema[i] + p.ema_rest * w1;
  }
}
