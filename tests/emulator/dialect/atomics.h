// Loads with cache hints, and atomic operations.
#pragma once
#include "warp.h"

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> void __stcg(T* p, T v) { *p = v; }
template <class T> void __stcs(T* p, T v) { *p = v; }

namespace emu {

template <class T>
using Word = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;

void announce(const void* p, unsigned bytes, Access access);  // to the checked build, which does not see atomics

template <class F, class T>
T atomic(T* p, T value) {
  announce(p, sizeof(T), Access::ATOMIC_UPDATE);
  auto* word = reinterpret_cast<Word<T>*>(p);
  Word<T> old = __atomic_load_n(word, __ATOMIC_RELAXED), next;
  T current;
  do {
    current = bits<T>(old);
    next = bits<Word<T>>(F()(current, value));
  } while (!__atomic_compare_exchange_n(word, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  return current;
}

struct Increment { unsigned operator()(unsigned a, unsigned b) const { return a >= b ? 0 : a + 1; } };

}  // namespace emu

#define EMU_ATOMIC(name, F, T) inline T name(T* p, T v) { return emu::atomic<emu::F>(p, v); }
EMU_ATOMIC(atomicAdd, Add, float)
EMU_ATOMIC(atomicAdd, Add, double)
EMU_ATOMIC(atomicAdd, Add, int)
EMU_ATOMIC(atomicAdd, Add, unsigned)
EMU_ATOMIC(atomicAdd, Add, unsigned long long)
EMU_ATOMIC(atomicMin, Min, int)
EMU_ATOMIC(atomicMin, Min, unsigned)
EMU_ATOMIC(atomicMax, Max, int)
EMU_ATOMIC(atomicMax, Max, unsigned)
EMU_ATOMIC(atomicAnd, And, unsigned)
EMU_ATOMIC(atomicOr, Or, unsigned)
EMU_ATOMIC(atomicXor, Xor, unsigned)
EMU_ATOMIC(atomicExch, Second, int)
EMU_ATOMIC(atomicExch, Second, unsigned)
EMU_ATOMIC(atomicExch, Second, float)
EMU_ATOMIC(atomicInc, Increment, unsigned)

template <class T>
T atomicCAS(T* p, T expected, T value) {
  emu::announce(p, sizeof(T), emu::Access::ATOMIC_UPDATE);
  __atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
