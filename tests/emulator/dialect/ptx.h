// The host twins of the PTX wrappers of kernels/gpu.cuh: the same names, and what the instructions do.
#pragma once
#include "bfloat16.h"

namespace emu {

struct MmaIn {
  const float* d;
  const uint32_t* a;
  const uint32_t* b;
};

// Gathers the fragments of all lanes into matrices, multiplies, and scatters.
template <class T>
void do_mma(unsigned mask, const void* const* in, void* const* out) {
  if (mask != 0xffffffffu) __builtin_trap();
  float a[16][16], bt[8][16];
  const auto low = [](uint32_t r) { return float(bits<T>(uint16_t(r))); };
  const auto high = [](uint32_t r) { return float(bits<T>(uint16_t(r >> 16))); };
  for (int l = 0; l < 32; ++l) {
    const auto* fragment = static_cast<const MmaIn*>(in[l]);
    const int group = l >> 2, pair = (l & 3) * 2;
    for (int i = 0; i < 4; ++i) {
      const int row = group + (i & 1) * 8, column = pair + (i >> 1) * 8;
      a[row][column] = low(fragment->a[i]);
      a[row][column + 1] = high(fragment->a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      bt[group][pair + i * 8] = low(fragment->b[i]);
      bt[group][pair + i * 8 + 1] = high(fragment->b[i]);
    }
  }
  for (int l = 0; l < 32; ++l) {
    const float* d = static_cast<const MmaIn*>(in[l])->d;
    for (int i = 0; i < 4; ++i) {
      const float* row = a[(l >> 2) + (i >> 1) * 8];
      const float* column = bt[(l & 3) * 2 + (i & 1)];
      float sum = 0.0f;
      for (int k = 0; k < 16; ++k) sum += row[k] * column[k];
      static_cast<float*>(out[l])[i] = d[i] + sum;
    }
  }
}

inline void do_ldmatrix(unsigned mask, const void* const* in, void* const* out) {
  if (mask != 0xffffffffu) __builtin_trap();
  for (int l = 0; l < 32; ++l)
    for (int m = 0; m < 4; ++m) {
      const char* row = static_cast<const char*>(in[m * 8 + (l >> 2)]);
      std::memcpy(static_cast<uint32_t*>(out[l]) + m, row + (l & 3) * 4, 4);
    }
}

// Lane l has row l / 4, columns 2 (l % 4) and the next, of the transpose of each matrix.
inline void do_ldmatrix_trans(unsigned mask, const void* const* in, void* const* out) {
  if (mask != 0xffffffffu) __builtin_trap();
  for (int l = 0; l < 32; ++l)
    for (int m = 0; m < 4; ++m)
      for (int i = 0; i < 2; ++i) {
        const char* row = static_cast<const char*>(in[m * 8 + (l & 3) * 2 + i]);
        std::memcpy(static_cast<char*>(out[l]) + m * 4 + i * 2, row + (l >> 2) * 2, 2);
      }
}

}  // namespace emu

namespace gpu {

template <class T>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], T, EMU_WHERE) {
  const emu::MmaIn in{d, a, b};
  float out[4];
  emu::api.collective(emu::self(), 0xffffffffu, &emu::do_mma<T>, &in, out, where);
  std::memcpy(d, out, sizeof out);
}

inline void announce_row(const void* row, emu::Where where) {
  if (reinterpret_cast<uintptr_t>(row) % 16)
    emu::api.fail(emu::self(), 716, "ldmatrix: a row is not aligned to 16 bytes", where);
  for (int i = 0; i < 16; i += 4) emu::announce(static_cast<const char*>(row) + i, 4, emu::Access::READ);
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, EMU_WHERE) {
  announce_row(row, where);
  emu::api.collective(emu::self(), 0xffffffffu, &emu::do_ldmatrix, row, r, where);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, EMU_WHERE) {
  announce_row(row, where);
  emu::api.collective(emu::self(), 0xffffffffu, &emu::do_ldmatrix_trans, row, r, where);
}

// Copied either now or only when waited for, by a coin: a missing wait and a buffer overwritten too early both show.
inline void cp_async16(void* to, const void* from, bool ok = true, EMU_WHERE) {
  emu::api.cp_async(emu::self(), to, from, 16, ok ? 16 : 0, where);
}
inline void cp_async_commit() { emu::api.cp_commit(emu::self()); }
template <int KEEP>
void cp_async_wait() {
  emu::api.cp_wait(emu::self(), KEEP);
}

inline float approximate_exp2(float x) { return exp2f(x); }
inline float approximate_reciprocal(float x) { return 1.0f / x; }

template <class N>
N load_relaxed(const N* p) {
  emu::announce(p, sizeof(N), emu::Access::ATOMIC_READ);
  return __atomic_load_n(p, __ATOMIC_RELAXED);
}

inline void named_barrier(int id, int threads, EMU_WHERE) { emu::api.barrier(emu::self(), id, threads, where); }

}  // namespace gpu
