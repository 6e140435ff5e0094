// What makes a shared library of kernels out of a source: entries for the driver to find, and the hooks that the
// compiler calls where it sees a mistake (-fsanitize) or, in the checked build, wherever memory is touched.
#pragma once
#include <utility>

#include "atomics.h"

// Not part of what the checked build watches.
#define EMU_PLAIN __attribute__((no_sanitize("thread")))
#define EMU_EXPORT extern "C" __attribute__((visibility("default")))
#define EMU_HOOK extern "C" EMU_PLAIN __attribute__((visibility("hidden")))

namespace emu {

template <class T>
constexpr Param param() {
  static_assert(std::is_trivially_copyable_v<T>, "kernel parameters are copied byte by byte");
  using Pointee = std::remove_pointer_t<T>;
  if constexpr (!std::is_pointer_v<T>) return {sizeof(T), alignof(T), 0};
  else if constexpr (std::is_void_v<Pointee>) return {sizeof(T), alignof(T), 1};
  else return {sizeof(T), alignof(T), alignof(Pointee)};
}

template <auto F>
struct Describe;
template <class... A, void (*F)(A...)>
struct Describe<F> {
  static constexpr Param params[sizeof...(A) + 1] = {param<A>()...};
  template <size_t... I>
  EMU_PLAIN static void call(void* const* p, std::index_sequence<I...>) {
    F(*static_cast<std::remove_const_t<A>*>(p[I])...);
  }
  EMU_PLAIN static void invoke(void* const* p) { call(p, std::index_sequence_for<A...>()); }
  static constexpr Kernel kernel(const char* name, unsigned threads) {
    return {name, sizeof...(A), threads, params, &invoke};
  }
};

}  // namespace emu

// The build writes one for each kernel that it finds in the source.
#define EMU_KERNEL(name, threads) \
  EMU_EXPORT const ::emu::Kernel emu_kernel_##name = ::emu::Describe<&name>::kernel(#name, threads);

namespace emu {

Api api;
static thread_local char anchor;

EMU_EXPORT EMU_PLAIN void* emu_module_init(int abi, const Api* table) {
  api = *table;
  return abi == ABI ? &anchor : nullptr;
}

// -fsanitize=bounds,alignment,integer-divide-by-zero calls these. The sanitizers' libraries are not linked.
struct SanitizerAt {
  const char* file;
  unsigned line, column;
};
#define EMU_MISTAKE(name, params, code, what)                    \
  EMU_HOOK void __ubsan_handle_##name params {                   \
    api.fail(self(), code, what, {at->file, int(at->line)});     \
  }
EMU_MISTAKE(out_of_bounds, (SanitizerAt* at, void*), 700, "array index out of bounds")
EMU_MISTAKE(type_mismatch_v1, (SanitizerAt* at, void*), 716, "misaligned or null pointer")
EMU_MISTAKE(divrem_overflow, (SanitizerAt* at, void*, void*), 719, "integer division by zero or overflow")

#ifdef EMU_CHECKED
EMU_EXPORT const int emu_checked = 1;

EMU_PLAIN __attribute__((visibility("hidden"))) void announce(const void* p, unsigned bytes, Access access) {
  api.access(self(), p, bytes, access, __builtin_return_address(0));
}

// -fsanitize=thread calls these for every load and store.
#define EMU_ANNOUNCE(name, bytes, kind) \
  EMU_HOOK void __tsan_##name(void* p) { api.access(self(), p, bytes, kind, __builtin_return_address(0)); }
#define EMU_ANNOUNCE_SIZE(n)                        \
  EMU_ANNOUNCE(read##n, n, Access::READ)            \
  EMU_ANNOUNCE(write##n, n, Access::WRITE)          \
  EMU_ANNOUNCE(unaligned_read##n, n, Access::READ)  \
  EMU_ANNOUNCE(unaligned_write##n, n, Access::WRITE) \
  EMU_ANNOUNCE(volatile_read##n, n, Access::READ)   \
  EMU_ANNOUNCE(volatile_write##n, n, Access::WRITE)
EMU_ANNOUNCE_SIZE(1)
EMU_ANNOUNCE_SIZE(2)
EMU_ANNOUNCE_SIZE(4)
EMU_ANNOUNCE_SIZE(8)
EMU_ANNOUNCE_SIZE(16)
EMU_HOOK void __tsan_read_range(void* p, unsigned long n) {
  api.access(self(), p, unsigned(n), Access::READ, __builtin_return_address(0));
}
EMU_HOOK void __tsan_write_range(void* p, unsigned long n) {
  api.access(self(), p, unsigned(n), Access::WRITE, __builtin_return_address(0));
}
EMU_HOOK void __tsan_init() {}
EMU_HOOK void __tsan_func_entry(void*) {}
EMU_HOOK void __tsan_func_exit() {}
EMU_HOOK void __tsan_atomic_thread_fence(int) {}
// Atomic operations were announced; these only do them.
#define EMU_ATOMICS(bits, T)                                                                             \
  EMU_HOOK T __tsan_atomic##bits##_load(const volatile T* p, int) { return __atomic_load_n(p, 5); }      \
  EMU_HOOK void __tsan_atomic##bits##_store(volatile T* p, T v, int) { __atomic_store_n(p, v, 5); }      \
  EMU_HOOK int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* e, T v, int, int) {       \
    return __atomic_compare_exchange_n(p, e, v, false, 5, 5);                                            \
  }
EMU_ATOMICS(16, uint16_t)
EMU_ATOMICS(32, uint32_t)
EMU_ATOMICS(64, uint64_t)
#else
inline void announce(const void*, unsigned, Access) {}
#endif

}  // namespace emu
