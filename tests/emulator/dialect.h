// The CUDA C++ dialect for the host compiler: enough of it for kernels/*.cu. Included by gpu.cuh
// when the compiler is not nvcc. Threads are fibers; all that makes them meet is in driver.cpp.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include "abi.h"

// ---- qualifiers ---------------------------------------------------------------------------------
#define KERNEL(...) extern "C" __attribute__((noinline)) void
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __constant__ __attribute__((visibility("default")))
#ifdef __SANITIZE_ADDRESS__
#define __shared__ static  // ASan puts red zones round statics, not round thread-locals
#else
#define __shared__ thread_local
#endif
#define DYN_SMEM(T, name) T* name = static_cast<T*>(::cuemu::self()->dyn_smem)
#define threadIdx (::cuemu::self()->tid)
#define blockIdx (::cuemu::self()->bid)
#define blockDim (::cuemu::self()->bdim)
#define gridDim (::cuemu::self()->gdim)
constexpr int warpSize = 32;

namespace cuemu {
extern Api api;  // a copy of the driver's table
#define CUEMU_WHERE ::cuemu::Where w_ = {__builtin_FILE(), __builtin_LINE()}
inline unsigned lane() { return self()->linear & 31; }

template <class T> constexpr Param param() {
  if constexpr (std::is_pointer_v<T>) {
    using P = std::remove_pointer_t<T>;
    if constexpr (std::is_void_v<P>) return {sizeof(T), alignof(T), 1, std::is_const_v<P>};
    else return {sizeof(T), alignof(T), alignof(P), std::is_const_v<P>};
  } else {
    static_assert(std::is_trivially_copyable_v<T>, "kernel parameters are copied byte by byte");
    return {sizeof(T), alignof(T), 0, false};
  }
}
#define CUEMU_PLAIN __attribute__((no_sanitize("thread")))  // not part of what the checked build watches
template <auto F> struct Describe;
template <class... A, void (*F)(A...)> struct Describe<F> {
  static constexpr Param params[sizeof...(A) + 1] = {param<A>()...};
  template <size_t... I> CUEMU_PLAIN static void call(void* const* p, std::index_sequence<I...>) {
    F(*static_cast<std::remove_const_t<A>*>(p[I])...);
  }
  CUEMU_PLAIN static void invoke(void* const* p) { call(p, std::index_sequence_for<A...>()); }
  static constexpr Kernel kernel(const char* name, unsigned max_threads) {
    return {name, sizeof...(A), max_threads, params, &invoke};
  }
};
// Written by the build for each `__global__` function that it finds in the preprocessed source.
#define CUEMU_KERNEL(name, bounds)                                        \
  extern "C" __attribute__((visibility("default"))) const ::cuemu::Kernel \
      cuemu_kernel_##name = ::cuemu::Describe<&name>::kernel(#name, bounds);
}  // namespace cuemu

// ---- vector types -------------------------------------------------------------------------------
#define CUEMU_VEC(T, N, A2, A4)                                                        \
  struct N##1 { T x; };                                                                \
  struct __align__(A2) N##2 { T x, y; };                                               \
  struct N##3 { T x, y, z; };                                                          \
  struct __align__(A4) N##4 { T x, y, z, w; };                                         \
  inline N##2 make_##N##2(T x, T y) { return {x, y}; }                                 \
  inline N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }                         \
  inline N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUEMU_VEC(signed char, char, 2, 4)
CUEMU_VEC(unsigned char, uchar, 2, 4)
CUEMU_VEC(short, short, 4, 8)
CUEMU_VEC(unsigned short, ushort, 4, 8)
CUEMU_VEC(int, int, 8, 16)
CUEMU_VEC(float, float, 8, 16)
CUEMU_VEC(double, double, 16, 16)
CUEMU_VEC(long long, longlong, 16, 16)
CUEMU_VEC(unsigned long long, ulonglong, 16, 16)
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- barriers -----------------------------------------------------------------------------------
inline void __syncthreads(CUEMU_WHERE) { cuemu::api.barrier(cuemu::self(), 0, 0, false, w_); }
inline int __syncthreads_count(int p, CUEMU_WHERE) { return cuemu::api.barrier_reduce(cuemu::self(), p, 0, w_); }
inline int __syncthreads_and(int p, CUEMU_WHERE) { return cuemu::api.barrier_reduce(cuemu::self(), p, 1, w_); }
inline int __syncthreads_or(int p, CUEMU_WHERE) { return cuemu::api.barrier_reduce(cuemu::self(), p, 2, w_); }
inline void __threadfence() {
  cuemu::api.fence(cuemu::self());
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
inline void __threadfence_block() { __threadfence(); }
inline void __threadfence_system() { __threadfence(); }

// ---- warp collectives ---------------------------------------------------------------------------
namespace cuemu {
template <class T> struct ShflIn { T v; int src; };
template <class T> void shfl_fn(unsigned mask, const void* const* in, void* const* out) {
  for (int l = 0; l < 32; ++l)
    if (out[l]) {
      const int s = static_cast<const ShflIn<T>*>(in[l])->src;
      if (mask >> s & 1) std::memcpy(out[l], &static_cast<const ShflIn<T>*>(in[s])->v, sizeof(T));
      else std::memset(out[l], 0xFF, sizeof(T));  // a lane that takes no part: undefined
    }
}
template <class T> T shfl(unsigned mask, T v, int src, Where w) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "shuffles move up to 8 bytes");
  ShflIn<T> in{v, src};
  T out;
  api.collective(self(), mask, &shfl_fn<T>, &in, &out, w);
  return out;
}
inline void ballot_fn(unsigned mask, const void* const* in, void* const* out) {
  unsigned r = 0;
  for (int l = 0; l < 32; ++l)
    if (mask >> l & 1) r |= unsigned(*static_cast<const int*>(in[l]) != 0) << l;
  for (int l = 0; l < 32; ++l)
    if (out[l]) *static_cast<unsigned*>(out[l]) = r;
}
inline void nop_fn(unsigned, const void* const*, void* const*) {}
template <class T> void match_fn(unsigned mask, const void* const* in, void* const* out) {
  for (int l = 0; l < 32; ++l)
    if (out[l]) {
      unsigned r = 0;
      for (int s = 0; s < 32; ++s)
        if (mask >> s & 1) r |= unsigned(std::memcmp(in[l], in[s], sizeof(T)) == 0) << s;
      *static_cast<unsigned*>(out[l]) = r;
    }
}
template <class T, class F> void reduce_fn(unsigned mask, const void* const* in, void* const* out) {
  bool first = true;
  T r{};
  for (int l = 0; l < 32; ++l)
    if (mask >> l & 1) {
      const T v = *static_cast<const T*>(in[l]);
      r = first ? v : F()(r, v);
      first = false;
    }
  for (int l = 0; l < 32; ++l)
    if (out[l]) *static_cast<T*>(out[l]) = r;
}
template <class T, class F> T reduce(unsigned mask, T v, Where w) {
  T out;
  api.collective(self(), mask, &reduce_fn<T, F>, &v, &out, w);
  return out;
}
struct Add { template <class T> T operator()(T a, T b) const { return a + b; } };
struct Min { template <class T> T operator()(T a, T b) const { return b < a ? b : a; } };
struct Max { template <class T> T operator()(T a, T b) const { return a < b ? b : a; } };
struct And { template <class T> T operator()(T a, T b) const { return a & b; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
struct Xor { template <class T> T operator()(T a, T b) const { return a ^ b; } };
struct Second { template <class T> T operator()(T, T b) const { return b; } };
}  // namespace cuemu

inline void __syncwarp(unsigned mask = 0xffffffffu, CUEMU_WHERE) {
  cuemu::api.collective(cuemu::self(), mask, &cuemu::nop_fn, nullptr, nullptr, w_);
}
template <class T> T __shfl_sync(unsigned mask, T v, int src, int width = 32, CUEMU_WHERE) {
  const int l = cuemu::lane(), seg = l & ~(width - 1);
  return cuemu::shfl(mask, v, seg + (src & (width - 1)), w_);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned d, int width = 32, CUEMU_WHERE) {
  const int l = cuemu::lane(), s = l - int(d);
  return cuemu::shfl(mask, v, s < (l & ~(width - 1)) ? l : s, w_);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned d, int width = 32, CUEMU_WHERE) {
  const int l = cuemu::lane(), s = l + int(d);
  return cuemu::shfl(mask, v, s > (l | (width - 1)) ? l : s, w_);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int x, int width = 32, CUEMU_WHERE) {
  const int l = cuemu::lane(), s = l ^ x;
  return cuemu::shfl(mask, v, s > (l | (width - 1)) ? l : s, w_);
}
inline unsigned __ballot_sync(unsigned mask, int p, CUEMU_WHERE) {
  unsigned out;
  cuemu::api.collective(cuemu::self(), mask, &cuemu::ballot_fn, &p, &out, w_);
  return out;
}
inline int __any_sync(unsigned mask, int p, CUEMU_WHERE) { return cuemu::reduce<int, cuemu::Or>(mask, p != 0, w_); }
inline int __all_sync(unsigned mask, int p, CUEMU_WHERE) { return cuemu::reduce<int, cuemu::And>(mask, p != 0, w_); }
template <class T> unsigned __match_any_sync(unsigned mask, T v, CUEMU_WHERE) {
  unsigned out;
  cuemu::api.collective(cuemu::self(), mask, &cuemu::match_fn<T>, &v, &out, w_);
  return out;
}
#define CUEMU_REDUCE(name, F)                                                                    \
  inline unsigned __reduce_##name##_sync(unsigned m, unsigned v, CUEMU_WHERE) { return cuemu::reduce<unsigned, cuemu::F>(m, v, w_); } \
  inline int __reduce_##name##_sync(unsigned m, int v, CUEMU_WHERE) { return cuemu::reduce<int, cuemu::F>(m, v, w_); }
CUEMU_REDUCE(add, Add) CUEMU_REDUCE(min, Min) CUEMU_REDUCE(max, Max)
CUEMU_REDUCE(and, And) CUEMU_REDUCE(or, Or) CUEMU_REDUCE(xor, Xor)

// ---- memory -------------------------------------------------------------------------------------
template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldca(const T* p) { return *p; }
template <class T> void __stcg(T* p, T v) { *p = v; }
template <class T> void __stcs(T* p, T v) { *p = v; }
template <class T> void __stwt(T* p, T v) { *p = v; }

// ---- atomics ------------------------------------------------------------------------------------
namespace cuemu {
template <class T> using Word = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
void touch(const void* p, unsigned n, int kind = 2);  // tells the checked build of an atomic access
template <class F, class T> T atomic(T* p, T v) {
  touch(p, sizeof(T));
  auto* w = reinterpret_cast<Word<T>*>(p);
  Word<T> old = __atomic_load_n(w, __ATOMIC_RELAXED), next;
  T cur, r;
  do {
    std::memcpy(&cur, &old, sizeof(T));
    r = F()(cur, v);
    std::memcpy(&next, &r, sizeof(T));
  } while (!__atomic_compare_exchange_n(w, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  return cur;
}
}  // namespace cuemu
#define CUEMU_ATOMIC(name, F, T) inline T name(T* p, T v) { return cuemu::atomic<cuemu::F>(p, v); }
CUEMU_ATOMIC(atomicAdd, Add, float) CUEMU_ATOMIC(atomicAdd, Add, double) CUEMU_ATOMIC(atomicAdd, Add, int)
CUEMU_ATOMIC(atomicAdd, Add, unsigned) CUEMU_ATOMIC(atomicAdd, Add, unsigned long long)
CUEMU_ATOMIC(atomicMin, Min, int) CUEMU_ATOMIC(atomicMin, Min, unsigned)
CUEMU_ATOMIC(atomicMax, Max, int) CUEMU_ATOMIC(atomicMax, Max, unsigned)
CUEMU_ATOMIC(atomicAnd, And, unsigned) CUEMU_ATOMIC(atomicOr, Or, unsigned) CUEMU_ATOMIC(atomicXor, Xor, unsigned)
CUEMU_ATOMIC(atomicExch, Second, int) CUEMU_ATOMIC(atomicExch, Second, unsigned) CUEMU_ATOMIC(atomicExch, Second, float)
template <class T> T atomicCAS(T* p, T expected, T v) {
  cuemu::touch(p, sizeof(T));
  __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
namespace cuemu {
struct Inc { unsigned operator()(unsigned a, unsigned b) const { return a >= b ? 0 : a + 1; } };
}
CUEMU_ATOMIC(atomicInc, Inc, unsigned)

// ---- arithmetic ---------------------------------------------------------------------------------
#define CUEMU_MINMAX(T) \
  inline T min(T a, T b) { return b < a ? b : a; } \
  inline T max(T a, T b) { return a < b ? b : a; }
CUEMU_MINMAX(int) CUEMU_MINMAX(unsigned) CUEMU_MINMAX(long) CUEMU_MINMAX(unsigned long)
CUEMU_MINMAX(long long) CUEMU_MINMAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline float sinpif(float x) { return float(sin(M_PI * std::fmod(double(x), 2.0))); }
inline float cospif(float x) { return float(cos(M_PI * std::fmod(double(x), 2.0))); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x); *c = cospif(x); }
inline void __sincosf(float x, float* s, float* c) { *s = sinf(x); *c = cosf(x); }
inline float normcdff(float x) { return 0.5f * erfcf(-x * float(M_SQRT1_2)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __mulhi(int a, int b) { return int(int64_t(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return static_cast<unsigned long long>((unsigned __int128)a * b >> 64); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (x >> i & 1) << (31 - i);
  return r;
}
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned s) { return unsigned((uint64_t(hi) << 32 | lo) << (s & 31) >> 32); }
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned s) { return unsigned((uint64_t(hi) << 32 | lo) >> (s & 31)); }
namespace cuemu {
template <class To, class From> To bits(From f) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To t;
  std::memcpy(&t, &f, sizeof t);
  return t;
}
}  // namespace cuemu
inline int __float_as_int(float x) { return cuemu::bits<int>(x); }
inline unsigned __float_as_uint(float x) { return cuemu::bits<unsigned>(x); }
inline float __int_as_float(int x) { return cuemu::bits<float>(x); }
inline float __uint_as_float(unsigned x) { return cuemu::bits<float>(x); }
inline int __float2int_rn(float x) { return int(std::nearbyint(x)); }
inline int __float2int_rd(float x) { return int(std::floor(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline unsigned __float2uint_rn(float x) { return unsigned(std::nearbyint(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

// ---- half and bfloat16 --------------------------------------------------------------------------
// Stricter than CUDA's: no constructors and only explicit conversions, so that what compiles here
// also compiles there. (With a constructor, even a defaulted one, g++ would guard __shared__ arrays.)
struct __half {
  uint16_t u;
  explicit operator float() const { return static_cast<float>(cuemu::bits<_Float16>(u)); }
};
struct __nv_bfloat16 {
  uint16_t u;
  explicit operator float() const { return cuemu::bits<float>(uint32_t(u) << 16); }
};
inline __half __float2half(float f) { return {cuemu::bits<uint16_t>(static_cast<_Float16>(f))}; }
inline __nv_bfloat16 __float2bfloat16(float f) {
  const uint32_t b = cuemu::bits<uint32_t>(f);
  return {f != f ? uint16_t(0x7FFF) : uint16_t((b + 0x7FFF + (b >> 16 & 1)) >> 16)};  // nearest even
}
struct __align__(4) __half2 { __half x, y; };
struct __align__(4) __nv_bfloat162 { __nv_bfloat16 x, y; };
typedef __half half;
typedef __half2 half2;
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;
// One operation in float, rounded once more, is the correctly rounded half or bfloat16 operation.
#define CUEMU_F16(H, H2, to, from, to2, from2)                                                    \
  inline float from(H h) { return float(h); }                                                     \
  inline H to##_rn(float f) { return to(f); }                                                      \
  inline float2 from2(H2 h) { return {float(h.x), float(h.y)}; }                                  \
  inline H2 to2(float2 f) { return {to(f.x), to(f.y)}; }                                            \
  inline H operator+(H a, H b) { return to(float(a) + float(b)); }                                 \
  inline H operator-(H a, H b) { return to(float(a) - float(b)); }                                 \
  inline H operator*(H a, H b) { return to(float(a) * float(b)); }                                 \
  inline H operator/(H a, H b) { return to(float(a) / float(b)); }                                 \
  inline H operator-(H a) { return to(-float(a)); }                                                \
  inline H& operator+=(H& a, H b) { return a = a + b; }                                           \
  inline bool operator<(H a, H b) { return float(a) < float(b); }                                 \
  inline bool operator>(H a, H b) { return float(a) > float(b); }                                 \
  inline bool operator==(H a, H b) { return float(a) == float(b); }                               \
  inline H __hadd(H a, H b) { return a + b; }                                                     \
  inline H __hsub(H a, H b) { return a - b; }                                                     \
  inline H __hmul(H a, H b) { return a * b; }                                                     \
  inline H __hdiv(H a, H b) { return a / b; }                                                     \
  inline H __hneg(H a) { return -a; }                                                             \
  inline H __hfma(H a, H b, H c) { return to(float(double(float(a)) * float(b) + float(c))); }     \
  inline H __hmax(H a, H b) { return to(fmaxf(float(a), float(b))); }                              \
  inline H __hmin(H a, H b) { return to(fminf(float(a), float(b))); }                              \
  inline H2 __hadd2(H2 a, H2 b) { return {a.x + b.x, a.y + b.y}; }                                \
  inline H2 __hmul2(H2 a, H2 b) { return {a.x * b.x, a.y * b.y}; }                                \
  inline H2 __hfma2(H2 a, H2 b, H2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }  \
  CUEMU_ATOMIC(atomicAdd, Add, H)
CUEMU_F16(__half, __half2, __float2half, __half2float, __float22half2_rn, __half22float2)
CUEMU_F16(__nv_bfloat16, __nv_bfloat162, __float2bfloat16, __bfloat162float, __float22bfloat162_rn, __bfloat1622float2)
inline __half2 __halves2half2(__half a, __half b) { return {a, b}; }
inline __half2 __floats2half2_rn(float a, float b) { return {__float2half(a), __float2half(b)}; }
inline __half __low2half(__half2 v) { return v.x; }
inline __half __high2half(__half2 v) { return v.y; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) { return {a, b}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float a, float b) { return {__float2bfloat16(a), __float2bfloat16(b)}; }

// ---- the host twins of gpu.cuh's PTX wrappers ---------------------------------------------------
namespace cuemu {
struct MmaIn { const float* d; const uint32_t* a; const uint32_t* b; };
template <class T> void mma_fn(unsigned mask, const void* const* in, void* const* out) {
  if (mask != 0xffffffffu) __builtin_trap();
  float a[16][16], bt[8][16];
  const auto lo = [](uint32_t r) { return float(bits<T>(uint16_t(r))); };
  const auto hi = [](uint32_t r) { return float(bits<T>(uint16_t(r >> 16))); };
  for (int l = 0; l < 32; ++l) {
    const auto* f = static_cast<const MmaIn*>(in[l]);
    const int g = l >> 2, t = (l & 3) * 2;
    for (int i = 0; i < 4; ++i) {
      const int r = g + (i & 1) * 8, c = t + (i >> 1) * 8;
      a[r][c] = lo(f->a[i]);
      a[r][c + 1] = hi(f->a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      bt[g][t + i * 8] = lo(f->b[i]);
      bt[g][t + i * 8 + 1] = hi(f->b[i]);
    }
  }
  for (int l = 0; l < 32; ++l) {
    const float* d = static_cast<const MmaIn*>(in[l])->d;
    float* o = static_cast<float*>(out[l]);
    for (int i = 0; i < 4; ++i) {
      const float* ra = a[(l >> 2) + (i >> 1) * 8];
      const float* rb = bt[(l & 3) * 2 + (i & 1)];
      float s = 0.0f;
      for (int k = 0; k < 16; ++k) s += ra[k] * rb[k];
      o[i] = d[i] + s;
    }
  }
}
inline void ldmatrix_fn(unsigned mask, const void* const* in, void* const* out) {
  if (mask != 0xffffffffu) __builtin_trap();
  for (int l = 0; l < 32; ++l)
    for (int m = 0; m < 4; ++m)
      std::memcpy(static_cast<uint32_t*>(out[l]) + m, static_cast<const char*>(in[m * 8 + (l >> 2)]) + (l & 3) * 4, 4);
}
}  // namespace cuemu
namespace gpu {
template <class T>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], T, CUEMU_WHERE) {
  const cuemu::MmaIn in{d, a, b};
  float o[4];
  cuemu::api.collective(cuemu::self(), 0xffffffffu, &cuemu::mma_fn<T>, &in, o, w_);
  std::memcpy(d, o, sizeof o);
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, CUEMU_WHERE) {
  if (reinterpret_cast<uintptr_t>(row) % 16) cuemu::api.fail(cuemu::self(), 716, "ldmatrix: a row is not 16-byte aligned", w_);
  cuemu::api.collective(cuemu::self(), 0xffffffffu, &cuemu::ldmatrix_fn, row, r, w_);
}
template <class T> T load_relaxed(const T* p) {
  cuemu::touch(p, sizeof(T), 3);
  return __atomic_load_n(p, __ATOMIC_RELAXED);
}
// Copied either now or only when waited for: the driver throws a coin, so that a missing wait and a
// buffer overwritten too early both show.
inline void cp_async16(void* dst, const void* src, bool ok = true, CUEMU_WHERE) {
  cuemu::api.cp_async(cuemu::self(), dst, src, 16, ok ? 16 : 0, w_);
}
inline void cp_async_commit() { cuemu::api.cp_commit(cuemu::self()); }
template <int N> void cp_async_wait() { cuemu::api.cp_wait(cuemu::self(), N); }
inline void named_barrier(int id, int threads, CUEMU_WHERE) { cuemu::api.barrier(cuemu::self(), id, threads, false, w_); }
}  // namespace gpu

// ---- assert, trap, and the checked build --------------------------------------------------------
#undef assert
#define assert(e) \
  ((e) ? void(0) : ::cuemu::api.fail(::cuemu::self(), 710, "assertion failed: " #e, {__FILE__, __LINE__}))
inline void __trap(CUEMU_WHERE) { cuemu::api.fail(cuemu::self(), 719, "__trap()", w_); }
inline long long clock64() { return static_cast<long long>(__builtin_ia32_rdtsc()); }
inline void __nanosleep(unsigned) { __syncwarp(1u << cuemu::lane()); }

// The one translation unit of a module (generated) defines this before it includes the kernels.
#ifdef CUEMU_MODULE
namespace cuemu {
Api api;
static thread_local char tls_anchor;
extern "C" CUEMU_PLAIN __attribute__((visibility("default"))) void* cuemu_module_init(int abi, const Api* a) {
  api = *a;
  return abi == kAbi ? &tls_anchor : nullptr;
}
// -fsanitize=bounds,alignment,integer-divide-by-zero calls these; libubsan is not linked.
struct UbsanAt { const char* file; unsigned line, column; };
#define CUEMU_UBSAN(name, params, code, what)                                            \
  extern "C" __attribute__((visibility("hidden"))) void __ubsan_handle_##name params {     \
    api.fail(self(), code, what, {at->file, int(at->line)});                              \
  }
CUEMU_UBSAN(out_of_bounds, (UbsanAt* at, void*), 700, "array index out of bounds")
CUEMU_UBSAN(type_mismatch_v1, (UbsanAt* at, void*), 716, "misaligned or null pointer")
CUEMU_UBSAN(divrem_overflow, (UbsanAt* at, void*, void*), 719, "integer division by zero or overflow")

#ifdef __SANITIZE_ADDRESS__
extern "C" __attribute__((visibility("default"))) const int cuemu_serial = 1;
#endif
#ifdef CUEMU_CHECKED
// -fsanitize=thread makes the compiler announce every load and store; no sanitizer library is linked.
extern "C" __attribute__((visibility("default"))) const int cuemu_checked = 1;
#define CUEMU_NO_TSAN CUEMU_PLAIN __attribute__((visibility("hidden")))
CUEMU_NO_TSAN void touch(const void* p, unsigned n, int kind) { api.access(self(), p, n, kind, __builtin_return_address(0)); }
#define CUEMU_TSAN(name, n, kind) \
  extern "C" CUEMU_NO_TSAN void __tsan_##name(void* p) { api.access(self(), p, n, kind, __builtin_return_address(0)); }
#define CUEMU_TSAN_N(n) \
  CUEMU_TSAN(read##n, n, 0) CUEMU_TSAN(write##n, n, 1) CUEMU_TSAN(unaligned_read##n, n, 0) \
  CUEMU_TSAN(unaligned_write##n, n, 1) CUEMU_TSAN(volatile_read##n, n, 0) CUEMU_TSAN(volatile_write##n, n, 1)
CUEMU_TSAN_N(1) CUEMU_TSAN_N(2) CUEMU_TSAN_N(4) CUEMU_TSAN_N(8) CUEMU_TSAN_N(16)
extern "C" CUEMU_NO_TSAN void __tsan_read_range(void* p, unsigned long n) { api.access(self(), p, unsigned(n), 0, __builtin_return_address(0)); }
extern "C" CUEMU_NO_TSAN void __tsan_write_range(void* p, unsigned long n) { api.access(self(), p, unsigned(n), 1, __builtin_return_address(0)); }
extern "C" CUEMU_NO_TSAN void __tsan_init() {}
extern "C" CUEMU_NO_TSAN void __tsan_func_entry(void*) {}
extern "C" CUEMU_NO_TSAN void __tsan_func_exit() {}
// Atomics are announced through touch(); these only do the operation.
#define CUEMU_TSAN_A(bits, T)                                                                                        \
  extern "C" CUEMU_NO_TSAN T __tsan_atomic##bits##_load(const volatile T* p, int) { return __atomic_load_n(p, 5); }   \
  extern "C" CUEMU_NO_TSAN void __tsan_atomic##bits##_store(volatile T* p, T v, int) { __atomic_store_n(p, v, 5); }   \
  extern "C" CUEMU_NO_TSAN int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* e, T v, int, int) {   \
    return __atomic_compare_exchange_n(p, e, v, false, 5, 5);                                                         \
  }
CUEMU_TSAN_A(16, uint16_t) CUEMU_TSAN_A(32, uint32_t) CUEMU_TSAN_A(64, uint64_t)
extern "C" CUEMU_NO_TSAN void __tsan_atomic_thread_fence(int) {}
#else
inline void touch(const void*, unsigned, int) {}
#endif
}  // namespace cuemu
#endif
