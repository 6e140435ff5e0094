// What the lanes of a warp do together: shuffles, votes, reductions.
#pragma once
#include "language.h"

namespace emu {

template <class T>
struct ShuffleIn {
  T value;
  int source;
};

template <class T>
void do_shuffle(unsigned mask, const void* const* in, void* const* out) {
  for (int l = 0; l < 32; ++l) {
    if (!out[l]) continue;
    const int source = static_cast<const ShuffleIn<T>*>(in[l])->source;
    if (mask >> source & 1) std::memcpy(out[l], &static_cast<const ShuffleIn<T>*>(in[source])->value, sizeof(T));
    else std::memset(out[l], 0xFF, sizeof(T));  // from a lane that takes no part: undefined
  }
}

template <class T>
T shuffle(unsigned mask, T value, int source, Where where) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "shuffles move up to 8 bytes");
  const ShuffleIn<T> in{value, source};
  T out;
  api.collective(self(), mask, &do_shuffle<T>, &in, &out, where);
  return out;
}

inline void do_nothing(unsigned, const void* const*, void* const*) {}

inline void do_ballot(unsigned mask, const void* const* in, void* const* out) {
  unsigned votes = 0;
  for (int l = 0; l < 32; ++l)
    if (mask >> l & 1) votes |= unsigned(*static_cast<const int*>(in[l]) != 0) << l;
  for (int l = 0; l < 32; ++l)
    if (out[l]) *static_cast<unsigned*>(out[l]) = votes;
}

template <class T>
void do_match(unsigned mask, const void* const* in, void* const* out) {
  for (int l = 0; l < 32; ++l) {
    if (!out[l]) continue;
    unsigned equal = 0;
    for (int s = 0; s < 32; ++s)
      if (mask >> s & 1) equal |= unsigned(std::memcmp(in[l], in[s], sizeof(T)) == 0) << s;
    *static_cast<unsigned*>(out[l]) = equal;
  }
}

template <class T, class F>
void do_reduce(unsigned mask, const void* const* in, void* const* out) {
  bool first = true;
  T result{};
  for (int l = 0; l < 32; ++l) {
    if (!(mask >> l & 1)) continue;
    const T value = *static_cast<const T*>(in[l]);
    result = first ? value : F()(result, value);
    first = false;
  }
  for (int l = 0; l < 32; ++l)
    if (out[l]) *static_cast<T*>(out[l]) = result;
}

template <class T, class F>
T reduce(unsigned mask, T value, Where where) {
  T out;
  api.collective(self(), mask, &do_reduce<T, F>, &value, &out, where);
  return out;
}

struct Add { template <class T> T operator()(T a, T b) const { return a + b; } };
struct Min { template <class T> T operator()(T a, T b) const { return b < a ? b : a; } };
struct Max { template <class T> T operator()(T a, T b) const { return a < b ? b : a; } };
struct And { template <class T> T operator()(T a, T b) const { return a & b; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
struct Xor { template <class T> T operator()(T a, T b) const { return a ^ b; } };
struct Second { template <class T> T operator()(T, T b) const { return b; } };

}  // namespace emu

inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_WHERE) {
  emu::api.collective(emu::self(), mask, &emu::do_nothing, nullptr, nullptr, where);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMU_WHERE) {
  const int lane = emu::lane(), segment = lane & ~(width - 1);
  return emu::shuffle(mask, value, segment + (source & (width - 1)), where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_WHERE) {
  const int lane = emu::lane(), source = lane - int(delta);
  return emu::shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_WHERE) {
  const int lane = emu::lane(), source = lane + int(delta);
  return emu::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int x, int width = 32, EMU_WHERE) {
  const int lane = emu::lane(), source = lane ^ x;
  return emu::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, where);
}

inline unsigned __ballot_sync(unsigned mask, int p, EMU_WHERE) {
  unsigned out;
  emu::api.collective(emu::self(), mask, &emu::do_ballot, &p, &out, where);
  return out;
}
inline int __any_sync(unsigned mask, int p, EMU_WHERE) { return emu::reduce<int, emu::Or>(mask, p != 0, where); }
inline int __all_sync(unsigned mask, int p, EMU_WHERE) { return emu::reduce<int, emu::And>(mask, p != 0, where); }
template <class T>
unsigned __match_any_sync(unsigned mask, T value, EMU_WHERE) {
  unsigned out;
  emu::api.collective(emu::self(), mask, &emu::do_match<T>, &value, &out, where);
  return out;
}

#define EMU_REDUCE(name, F)                                                    \
  inline unsigned __reduce_##name##_sync(unsigned mask, unsigned v, EMU_WHERE) { \
    return emu::reduce<unsigned, emu::F>(mask, v, where);                      \
  }                                                                            \
  inline int __reduce_##name##_sync(unsigned mask, int v, EMU_WHERE) {         \
    return emu::reduce<int, emu::F>(mask, v, where);                           \
  }
EMU_REDUCE(add, Add)
EMU_REDUCE(min, Min)
EMU_REDUCE(max, Max)
EMU_REDUCE(and, And)
EMU_REDUCE(or, Or)
EMU_REDUCE(xor, Xor)
