// Runs the blocks of a launch, one after another; a block's threads are fibers on the thread that launches.
//
// In several files: runner.cpp the order in which threads run, barriers.cpp where they meet, copies.cpp cp.async,
// checked.cpp bounds and races of every access, faults.cpp what is told when one goes wrong.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "memory.h"
#include "module.h"

namespace emu {

constexpr int MAX_THREADS = 1024, MAX_SHARED = 227 << 10, WARP = 32;

struct Launch {
  CUfunc_st* function;
  dim3 grid, block;
  unsigned shared;
  std::vector<std::max_align_t> storage;  // of the arguments
  std::vector<void*> arguments;
};

// Who touched a word last: one for every four bytes of memory, in the checked build.
struct Shadow {
  uint32_t write_run, write_epoch;
  uint16_t write_thread, write_warp_epoch;
  uint8_t write_bytes, write_atomic, read_bytes, read_atomic;
  uint32_t read_run, read_epoch;
  uint16_t read_thread, read_warp_epoch, other_read_thread;
  uint8_t other_read_bytes, unused;
};
static_assert(sizeof(Shadow) == 32, "eight bytes for each byte");

class Runner {
 public:
  Runner();
  Runner(const Runner&) = delete;
  CUresult run(const Launch&);

 private:
  enum State : uint8_t { NEW, READY, AT_BARRIER, AT_COLLECTIVE, DONE };
  struct Copy {
    void* to;
    const void* from;
    unsigned bytes, valid;
  };
  struct Copies {
    std::vector<Copy> open;
    std::deque<std::vector<Copy>> groups;
  };
  struct Barrier {
    std::vector<int> waiting;
    int count = 0;  // how many it is for; 0: every thread that lives
  };
  struct Waiting {
    unsigned mask;
    WarpFn fn;
    const void* in;
    void* out;
  };
  struct Votes {
    int count = 0;
    bool all = true, any = false;
  };
  struct Fault {
    int signal, code;
    uintptr_t address, instruction;
  };

  // runner.cpp
  void run_block(uint3 block, uint32_t index);
  void begin(int thread);
  void place(Thread*, int thread);
  static void fiber_main();
  void finish(int thread);
  void yield();
  [[noreturn]] void stop(int code);
  void set_ready(int thread);
  int take();
  uint64_t random();
  unsigned below(unsigned n) { return unsigned((random() >> 32) * n >> 32); }
  void check_dynamic_shared_end();
  static Runner* of(Thread* t) { return static_cast<Runner*>(t->runner); }
  const Launch& launch() const { return *launch_; }

  // barriers.cpp
  static void barrier(Thread*, int id, int count, Where);
  static int barrier_vote(Thread*, int value, Vote, Where);
  static void collective(Thread*, unsigned mask, WarpFn, const void* in, void* out, Where);
  static void fence(Thread*);
  void release(int id);
  void deadlock();

  // copies.cpp
  static void cp_async(Thread*, void* to, const void* from, unsigned bytes, unsigned valid, Where);
  static void cp_commit(Thread*);
  static void cp_wait(Thread*, int keep);
  void copy(Thread*, const Copy&);

  // checked.cpp
  static void access(Thread*, const void*, unsigned bytes, Access, const void* pc);
  Shadow* shadow_of(uintptr_t, unsigned bytes, Access, const void* pc, bool* global);
  void touch(Shadow*, unsigned bytes, Access, uintptr_t, const void* pc, bool global);
  bool unordered(bool global, uint32_t run, uint32_t epoch, uint16_t thread, uint16_t warp_epoch) const;
  [[noreturn]] void bad_access(uintptr_t, unsigned bytes, Access, const void* pc, const char* why);
  std::string shared_name(uintptr_t) const;

  // faults.cpp
  static void install_signals();
  static void on_signal(int signal, void* info, void* context);
  static void faulted();
  [[noreturn]] static void fail(Thread*, int code, const char* what, Where);
  void header(int thread);
  void tell_line(const void* pc);
  bool on_stack(uintptr_t) const;

  const Launch* launch_ = nullptr;
  // Memory: the threads' stacks, dynamic shared memory up to a guard page, the module's static shared memory.
  uintptr_t stacks_, dynamic_begin_ = 0, dynamic_end_, static_begin_ = 0;
  size_t static_size_ = 0;
  int guarded_ = 0;  // stacks that have a guard page already

  // The block that runs.
  uint3 block_{};
  int threads_ = 0, warps_ = 0, live_ = 0, current_ = 0, error_ = 0;
  void* scheduler_ = nullptr;
  State state_[MAX_THREADS];
  void* stack_pointer_[MAX_THREADS];
  int fiber_of_[MAX_THREADS];
  std::vector<int> free_fibers_;

  // Which thread is next.
  bool random_order_ = true;
  uint64_t random_ = 1;
  unsigned ready_[WARP] = {}, ready_warps_ = 0;  // lanes, and warps, that can run
  uint8_t order_[WARP] = {};                     // of warps

  // Where threads wait.
  Where where_[MAX_THREADS];
  Waiting waiting_[MAX_THREADS];
  unsigned at_collective_[WARP] = {};  // lanes of a warp that wait in some collective
  Barrier barriers_[16];
  Votes votes_[2];
  int votes_now_ = 0;

  Copies copies_[MAX_THREADS];
  bool used_copies_ = false;

  // What orders accesses: the run (a block of a launch), its barriers so far, those of each warp.
  uint32_t run_ = 0, first_run_ = 0, runs_ = 0, epoch_ = 1, warp_epoch_[WARP] = {};
  bool fenced_ = false;
  std::vector<Allocation> recent_;
  std::vector<Shadow> shared_shadow_;

  Fault fault_{};
};

// Runs a launch on the calling thread, and looks at the edges of the memory it was given.
CUresult execute(const Launch&);

}  // namespace emu
