// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011), as in src/backend/philox.rs: a number depends on the key and
// its position alone, so any thread can draw any part of a sequence.
#pragma once
#include "gpu.cuh"

// The four words at position `block` of the sequence `key`.
__device__ __forceinline__ uint4 philox4x32(Key key, unsigned long long block) {
  const auto low = [](unsigned long long x) { return static_cast<unsigned>(x); };
  const auto high = [](unsigned long long x) { return static_cast<unsigned>(x >> 32); };
  uint4 c = make_uint4(low(block), high(block), low(key.stream), high(key.stream));
  uint2 k = make_uint2(low(key.seed), high(key.seed));
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    if (round > 0) k = make_uint2(k.x + 0x9E3779B9u, k.y + 0xBB67AE85u);
    const unsigned high0 = __umulhi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const unsigned high1 = __umulhi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = make_uint4(high1 ^ c.y ^ k.x, low1, high0 ^ c.w ^ k.y, low0);
  }
  return c;
}

// A key from memory, 16 bits in each of 8 numbers: there it may change between two launches of a graph.
__device__ __forceinline__ Key key_at(const float* pieces) {
  unsigned long long words[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < 8; ++i) words[i / 4] |= static_cast<unsigned long long>(pieces[i]) << (16 * (i % 4));
  return {words[0], words[1]};
}

// Uniform in (0, 1].
__device__ __forceinline__ float uniform(unsigned word) {
  return static_cast<float>((word >> 8) + 1) * (1.0f / 16777216.0f);
}

// Two standard normal numbers by Box and Muller's transform.
__device__ __forceinline__ float2 box_muller(unsigned u, unsigned v) {
  const float radius = sqrtf(-2.0f * logf(uniform(u)));
  float sine, cosine;
  sincospif(2.0f * uniform(v), &sine, &cosine);  // sincosf would need local memory
  return make_float2(radius * cosine, radius * sine);
}

// Four numbers of a sequence.
struct Four {
  float at[4];
};

// Standard normal numbers at positions 4 block .. 4 block + 3.
__device__ __forceinline__ Four normal4(Key key, unsigned long long block) {
  const uint4 words = philox4x32(key, block);
  const float2 ab = box_muller(words.x, words.y), cd = box_muller(words.z, words.w);
  return {{ab.x, ab.y, cd.x, cd.y}};
}

// Uniform numbers in (0, 1] at the same positions.
__device__ __forceinline__ Four uniform4(Key key, unsigned long long block) {
  const uint4 words = philox4x32(key, block);
  return {{uniform(words.x), uniform(words.y), uniform(words.z), uniform(words.w)}};
}
