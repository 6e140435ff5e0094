// The checked build: bounds and races of every load and store, and reads of shared memory that nobody wrote.
//
// Two accesses of a word race unless something orders them: within a block a barrier, or for threads of one warp
// __syncwarp; between blocks of a launch nothing, until a __threadfence makes this give up. Atomic operations do not
// race with each other.
#include <sys/mman.h>

#include <cstdio>
#include <utility>

#include "report.h"
#include "runner.h"

namespace emu {

namespace {

Shadow* global_shadow() {  // virtual; only pages that are touched cost
  static void* p =
      mmap(nullptr, ARENA * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return static_cast<Shadow*>(p);
}

const char* name_of(Access access) {
  return access == Access::READ ? "read" : access == Access::WRITE ? "write" : "atomic access";
}

}  // namespace

void Runner::access(Thread* thread, const void* p, unsigned bytes, Access access, const void* pc) {
  Runner* r = of(thread);
  uintptr_t a = reinterpret_cast<uintptr_t>(p);
  if (r->on_stack(a)) return;
  bool global;
  Shadow* s = r->shadow_of(a, bytes, access, pc, &global);
  if (!s) return;
  for (const uintptr_t end = a + bytes; a < end; ++s) {
    const uintptr_t next = (a & ~uintptr_t(3)) + 4;
    const unsigned from = a & 3, to = end < next ? end & 3 : 4;
    r->touch(s, (1u << to) - (1u << from), access, a, pc, global);
    a = next;
  }
}

// The record of an address's word; null where nothing is recorded. Stops the launch where a kernel has no business.
Shadow* Runner::shadow_of(uintptr_t a, unsigned bytes, Access access, const void* pc, bool* global) {
  *global = false;
  if (a - dynamic_begin_ < dynamic_end_ + PAGE - dynamic_begin_) {
    if (a + bytes > dynamic_begin_ + launch().shared)
      bad_access(a, bytes, access, pc, "after the end of dynamic shared memory");
    return &shared_shadow_[(a - dynamic_begin_) / 4];
  }
  if (a - static_begin_ < static_size_) {
    const size_t at = (a - static_begin_) / 4 + MAX_SHARED / 4 + 64;
    return at + 4 < shared_shadow_.size() ? &shared_shadow_[at] : nullptr;
  }
  if (memory().owns(a)) {
    *global = true;
    Shadow* s = global_shadow() + (a - memory().base()) / 4;
    for (size_t i = 0; i < recent_.size(); ++i) {
      const Allocation x = recent_[i];
      if (a - x.address >= x.size) continue;
      if (i) std::swap(recent_[i], recent_[i / 2]);  // sooner found next time
      if (a + bytes <= x.address + x.size) return s;
      bad_access(a, bytes, access, pc, memory().describe(a).c_str());
    }
    Allocation x;
    if (!memory().find(a, &x) || a + bytes > x.address + x.size)
      bad_access(a, bytes, access, pc, memory().describe(a).c_str());
    recent_.push_back(x);
    return s;
  }
  if (!launch().function->module->holds(a) && !memory().is_pinned(reinterpret_cast<void*>(a)))
    bad_access(a, bytes, access, pc, "not memory that a kernel may touch");
  return nullptr;
}

// Whether nothing orders an earlier access and the current one.
bool Runner::unordered(bool global, uint32_t run, uint32_t epoch, uint16_t thread, uint16_t warp_epoch) const {
  if (run != run_) return global && run - first_run_ < runs_ && !fenced_;  // another block of this launch
  if (thread == current_ || epoch != epoch_) return false;
  return thread / WARP != current_ / WARP || warp_epoch == uint16_t(warp_epoch_[current_ / WARP]);
}

// Looks at one word, of which the bits of `bytes` are accessed, and records the access.
void Runner::touch(Shadow* s, unsigned bytes, Access access, uintptr_t a, const void* pc, bool global) {
  const bool write = access == Access::WRITE || access == Access::ATOMIC_UPDATE;
  const bool atomic = access == Access::ATOMIC_UPDATE || access == Access::ATOMIC_READ;
  if (!global && access != Access::WRITE && s->write_run != run_) {
    header(current_);
    report("  read of %s, which no thread of this block has written", shared_name(a).c_str());
    tell_line(pc);
    stop(CUDA_ERROR_LAUNCH_FAILED);
  }
  const char* race = nullptr;
  uint32_t run = s->write_run;
  unsigned other = s->write_thread;
  if ((s->write_bytes & bytes) && !(atomic && s->write_atomic) &&
      unordered(global, s->write_run, s->write_epoch, s->write_thread, s->write_warp_epoch)) {
    race = write ? "write after a write" : "read after a write";
  } else if (write && !(atomic && s->read_atomic)) {
    run = s->read_run;
    const auto look = [&](uint8_t read, uint16_t thread) {
      if (!(read & bytes) || !unordered(global, s->read_run, s->read_epoch, thread, s->read_warp_epoch)) return;
      race = "write after a read";
      other = thread;
    };
    look(s->read_bytes, s->read_thread);
    look(s->other_read_bytes, s->other_read_thread);
  }
  if (race) {
    const std::string place = global ? memory().describe(a) : shared_name(a);
    header(current_);
    if (run == run_)
      report("  race in %s memory: %s by thread %u of this block, no barrier between them (%s)",
             global ? "global" : "shared", race, other, place.c_str());
    else
      report("  race in global memory: %s by thread %u of block %u (%s)", race, other, run - first_run_, place.c_str());
    tell_line(pc);
    stop(CUDA_ERROR_LAUNCH_FAILED);
  }
  const uint16_t warp_epoch = uint16_t(warp_epoch_[current_ / WARP]);
  if (write) {
    const bool again = s->write_run == run_ && s->write_epoch == epoch_ && s->write_thread == current_;
    s->write_bytes = uint8_t(again ? s->write_bytes | bytes : bytes);
    s->write_run = run_;
    s->write_epoch = epoch_;
    s->write_thread = uint16_t(current_);
    s->write_warp_epoch = warp_epoch;
    s->write_atomic = atomic;
  } else {
    const bool again = s->read_run == run_ && s->read_epoch == epoch_ && s->read_warp_epoch == warp_epoch;
    if (!again) {
      s->read_bytes = s->other_read_bytes = 0;
    } else if (s->read_thread != current_ && s->other_read_thread == current_) {
      std::swap(s->read_bytes, s->other_read_bytes);
      s->other_read_thread = s->read_thread;
    } else if (s->read_thread != current_) {
      // Two readers are told apart; of more, the last but one stands for all before it.
      s->other_read_bytes = uint8_t(s->other_read_bytes | s->read_bytes);
      s->other_read_thread = s->read_thread;
      s->read_bytes = 0;
    }
    s->read_bytes = uint8_t(s->read_bytes | bytes);
    s->read_atomic = atomic && (!again || s->read_atomic);
    s->read_run = run_;
    s->read_epoch = epoch_;
    s->read_thread = uint16_t(current_);
    s->read_warp_epoch = warp_epoch;
  }
}

std::string Runner::shared_name(uintptr_t a) const {
  if (a - dynamic_begin_ >= dynamic_end_ - dynamic_begin_) return "static shared memory";
  return "byte " + std::to_string(a - dynamic_begin_) + " of dynamic shared memory";
}

void Runner::bad_access(uintptr_t a, unsigned bytes, Access access, const void* pc, const char* why) {
  header(current_);
  report("  %s of %u bytes at 0x%zx: %s", name_of(access), bytes, a, why);
  tell_line(pc);
  stop(CUDA_ERROR_ILLEGAL_ADDRESS);
}

}  // namespace emu
