// Device memory: host memory in which mistakes show.
#pragma once
#include <map>
#include <mutex>
#include <string>

#include "types.h"

namespace emu {

constexpr size_t PAGE = 4096, ARENA = size_t(1) << 38, GAP = 1 << 20, ALIGNMENT = 16;
// New memory is all ones: NaN, -1. What a kernel must not touch beside it has another pattern.
constexpr unsigned char POISON = 0xFF, CANARY = 0xA5;

struct Allocation {
  uintptr_t address;
  size_t size;
  uintptr_t first_page, end_page;
  unsigned id;
};

// One reservation without access rights. An allocation ends at a page's end (to 16 bytes), with no rights on the pages
// around it, and addresses are not used again until the reservation is used up: running over the end, far jumps and
// use after free all fault.
class Memory {
 public:
  Memory();

  bool owns(uintptr_t a) const { return a - base_ < ARENA; }
  uintptr_t base() const { return base_; }

  CUresult allocate(CUdeviceptr* out, size_t size);
  CUresult free(CUdeviceptr);
  void info(size_t* free, size_t* total);

  // The live allocation that holds an address.
  bool find(uintptr_t, Allocation* out);
  // Whether a range lies in one allocation; if not, says so.
  bool contains(uintptr_t, size_t, const char* what);
  // Whether nothing was written beside the allocation of that address.
  bool intact(uintptr_t);
  // Where an address lies, in words.
  std::string describe(uintptr_t);

  // Page-locked host memory.
  void* pin(size_t);
  bool unpin(void*);
  bool is_pinned(const void*);

 private:
  bool check_canaries(const Allocation&);

  std::mutex mutex_;
  uintptr_t base_, next_;
  size_t used_ = 0, total_;
  unsigned ids_ = 0;
  std::map<uintptr_t, Allocation> live_, dead_;
  std::map<uintptr_t, size_t> pinned_;
};

Memory& memory();

}  // namespace emu
