#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "report.h"

namespace emu {

namespace {
void* at(uintptr_t a) { return reinterpret_cast<void*>(a); }
size_t whole_pages(size_t n) { return (std::max<size_t>(n, 1) + PAGE - 1) / PAGE * PAGE; }
}  // namespace

Memory& memory() {
  static Memory* m = new Memory;
  return *m;
}

Memory::Memory() : total_(size_t(setting("EMULATOR_MEMORY_MB", 4096)) << 20) {
  void* p = mmap(nullptr, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) abort();
  base_ = next_ = reinterpret_cast<uintptr_t>(p);
}

CUresult Memory::allocate(CUdeviceptr* out, size_t size) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (size > total_ || used_ + size > total_) return CUDA_ERROR_OUT_OF_MEMORY;
  const size_t bytes = whole_pages(size);
  if (next_ + bytes + GAP > base_ + ARENA) next_ = base_;
  uintptr_t first = next_ + GAP;
  for (auto it = live_.lower_bound(first - GAP); it != live_.end() && it->second.first_page < first + bytes + GAP; ++it)
    first = it->second.end_page + GAP;  // only after the reservation was used up once
  if (first + bytes + GAP > base_ + ARENA) return CUDA_ERROR_OUT_OF_MEMORY;
  next_ = first + bytes;
  if (mprotect(at(first), bytes, PROT_READ | PROT_WRITE)) return CUDA_ERROR_OUT_OF_MEMORY;
  const uintptr_t address = (first + bytes - size) & ~(ALIGNMENT - 1), end = first + bytes;
  memset(at(first), CANARY, address - first);
  memset(at(address), POISON, size);
  memset(at(address + size), CANARY, end - address - size);
  live_[address] = {address, size, first, end, ++ids_};
  used_ += size;
  *out = address;
  return CUDA_SUCCESS;
}

CUresult Memory::free(CUdeviceptr p) {
  if (!p) return CUDA_SUCCESS;
  std::lock_guard<std::mutex> lock(mutex_);
  auto it = live_.find(p);
  if (it == live_.end()) {
    report("free of 0x%llx, which is not an allocation (freed twice?)", p);
    return CUDA_ERROR_INVALID_VALUE;
  }
  const Allocation a = it->second;
  const bool intact = check_canaries(a);
  madvise(at(a.first_page), a.end_page - a.first_page, MADV_DONTNEED);
  mprotect(at(a.first_page), a.end_page - a.first_page, PROT_NONE);
  used_ -= a.size;
  live_.erase(it);
  dead_[a.address] = a;
  if (dead_.size() > 4096) dead_.erase(dead_.begin());
  return intact ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS;
}

void Memory::info(size_t* free, size_t* total) {
  std::lock_guard<std::mutex> lock(mutex_);
  *free = total_ - used_;
  *total = total_;
}

bool Memory::find(uintptr_t a, Allocation* out) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto it = live_.upper_bound(a);
  if (it == live_.begin()) return false;
  --it;
  if (a - it->second.address >= std::max<size_t>(it->second.size, 1)) return false;
  *out = it->second;
  return true;
}

bool Memory::contains(uintptr_t a, size_t n, const char* what) {
  Allocation x;
  if (!n || (find(a, &x) && a + n <= x.address + x.size)) return true;
  report("%s: %zu bytes at 0x%zx: %s", what, n, a, describe(a).c_str());
  return false;
}

bool Memory::intact(uintptr_t a) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto it = live_.find(a);
  return it == live_.end() || check_canaries(it->second);
}

bool Memory::check_canaries(const Allocation& a) {
  const auto first_changed = [](uintptr_t from, uintptr_t to) -> uintptr_t {
    for (; from < to; ++from)
      if (*static_cast<unsigned char*>(at(from)) != CANARY) return from;
    return 0;
  };
  const uintptr_t end = a.address + a.size;
  const uintptr_t before = first_changed(a.first_page, a.address), after = first_changed(end, a.end_page);
  if (before)
    report("something wrote %zu bytes before allocation #%u (%zu bytes)", a.address - before, a.id, a.size);
  if (after)
    report("something wrote %zu bytes after the end of allocation #%u (%zu bytes)", after - end, a.id, a.size);
  if (before) memset(at(a.first_page), CANARY, a.address - a.first_page);  // told once
  if (after) memset(at(end), CANARY, a.end_page - end);
  return !before && !after;
}

std::string Memory::describe(uintptr_t a) {
  if (!owns(a)) return "not device memory";
  std::lock_guard<std::mutex> lock(mutex_);
  char text[256];
  const auto near = [&](const std::map<uintptr_t, Allocation>& allocations, const char* state) {
    const Allocation* best = nullptr;
    auto it = allocations.upper_bound(a);
    if (it != allocations.end()) best = &it->second;
    if (it != allocations.begin()) {
      const Allocation* below = &std::prev(it)->second;
      const uintptr_t end = below->address + below->size;
      if (!best || a < end || a - end < best->address - a) best = below;
    }
    if (!best) return false;
    const uintptr_t end = best->address + best->size;
    const char* relation;
    size_t distance;
    if (a >= end) relation = "bytes after the end of", distance = a - end;
    else if (a < best->address) relation = "bytes before", distance = best->address - a;
    else relation = "bytes into", distance = a - best->address;
    if ((a >= end || a < best->address) && distance >= GAP / 2) return false;
    snprintf(text, sizeof text, "%zu %s %s allocation #%u (%zu bytes)", distance, relation, state, best->id, best->size);
    return true;
  };
  return near(live_, "live") || near(dead_, "FREED") ? text : "in no allocation";
}

void* Memory::pin(size_t size) {
  void* p = aligned_alloc(PAGE, whole_pages(size));
  memset(p, POISON, size);
  std::lock_guard<std::mutex> lock(mutex_);
  pinned_[reinterpret_cast<uintptr_t>(p)] = size;
  return p;
}

bool Memory::unpin(void* p) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!pinned_.erase(reinterpret_cast<uintptr_t>(p))) return false;
  ::free(p);
  return true;
}

bool Memory::is_pinned(const void* p) {
  std::lock_guard<std::mutex> lock(mutex_);
  const uintptr_t a = reinterpret_cast<uintptr_t>(p);
  auto it = pinned_.upper_bound(a);
  return it != pinned_.begin() && a - std::prev(it)->first < std::prev(it)->second;
}

}  // namespace emu
