// The numbers that the stand-ins for NVIDIA's libraries compute with: float and bf16 in memory, double between.
#pragma once
#include <cstdint>
#include <cstring>

namespace emu {

inline size_t number_size(bool half) { return half ? 2 : 4; }

inline double load_number(const void* p, bool half, int64_t i) {
  if (!half) return static_cast<const float*>(p)[i];
  const uint32_t bits = uint32_t(static_cast<const uint16_t*>(p)[i]) << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

inline void store_number(void* p, bool half, int64_t i, double value) {
  const float x = float(value);
  if (!half) {
    static_cast<float*>(p)[i] = x;
    return;
  }
  uint32_t bits;
  memcpy(&bits, &x, 4);
  static_cast<uint16_t*>(p)[i] = x != x ? 0x7FFF : uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace emu
