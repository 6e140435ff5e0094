// Qualifiers, built-in variables and vector types.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "../abi.h"

#define KERNEL(...) extern "C" __attribute__((noinline)) void
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __constant__ __attribute__((visibility("default")))
// Static, one copy for each thread of the operating system, and found by the driver as the module's thread-local
// storage: filled with NaN before each block.
#define __shared__ thread_local
#define DYN_SMEM(type, name) type* name = static_cast<type*>(::emu::self()->dynamic_shared)
#define threadIdx (::emu::self()->thread)
#define blockIdx (::emu::self()->block)
#define blockDim (::emu::self()->block_dim)
#define gridDim (::emu::self()->grid_dim)
constexpr int warpSize = 32;

namespace emu {
extern Api api;  // a copy of the driver's table
inline unsigned lane() { return self()->linear & 31; }

template <class To, class From>
To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace emu

// The caller's line, as a last argument.
#define EMU_WHERE ::emu::Where where = {__builtin_FILE(), __builtin_LINE()}

#define EMU_VECTOR(T, N, ALIGN2, ALIGN4)                               \
  struct N##1 { T x; };                                                \
  struct __align__(ALIGN2) N##2 { T x, y; };                           \
  struct N##3 { T x, y, z; };                                          \
  struct __align__(ALIGN4) N##4 { T x, y, z, w; };                     \
  inline N##2 make_##N##2(T x, T y) { return {x, y}; }                 \
  inline N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }         \
  inline N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTOR(signed char, char, 2, 4)
EMU_VECTOR(unsigned char, uchar, 2, 4)
EMU_VECTOR(short, short, 4, 8)
EMU_VECTOR(unsigned short, ushort, 4, 8)
EMU_VECTOR(int, int, 8, 16)
EMU_VECTOR(float, float, 8, 16)
EMU_VECTOR(double, double, 16, 16)
EMU_VECTOR(long long, longlong, 16, 16)
EMU_VECTOR(unsigned long long, ulonglong, 16, 16)
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#undef assert
#define assert(e) \
  ((e) ? void(0) : ::emu::api.fail(::emu::self(), 710, "assertion failed: " #e, {__FILE__, __LINE__}))
inline void __trap(EMU_WHERE) { emu::api.fail(emu::self(), 719, "__trap()", where); }
