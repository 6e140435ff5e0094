#include "runner.h"

#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>

#include "faults.h"
#include "fiber.h"
#include "report.h"

namespace emu {

namespace {
std::atomic<uint32_t> next_run{1};
}

Runner::Runner() {
  const auto reserve = [](size_t size, int rights) {
    void* p = mmap(nullptr, size, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) abort();
    return reinterpret_cast<uintptr_t>(p);
  };
  stacks_ = (reserve(size_t(MAX_THREADS + 1) * STACK, PROT_READ | PROT_WRITE) + STACK - 1) & ~(STACK - 1);
  const size_t shared = (MAX_SHARED + PAGE - 1) / PAGE * PAGE;
  const uintptr_t p = reserve(shared + 2 * PAGE, PROT_NONE);
  mprotect(reinterpret_cast<void*>(p + PAGE), shared, PROT_READ | PROT_WRITE);
  dynamic_end_ = p + PAGE + shared;
  shared_shadow_.resize((shared + (256 << 10)) / 4);
}

CUresult Runner::run(const Launch& launch) {
  static const Api api = {&barrier, &barrier_vote, &collective, &cp_async, &cp_commit, &cp_wait, &fence, &access, &fail};
  CUmod_st* module = launch.function->module;
  launch_ = &launch;
  error_ = 0;
  fenced_ = false;
  recent_.clear();
  if (!module->init(ABI, &api)) return CUDA_ERROR_INVALID_IMAGE;  // also makes this thread's copy of the thread-locals
  static_shared(module, &static_begin_, &static_size_);
  threads_ = int(launch.block.x * launch.block.y * launch.block.z);
  dynamic_begin_ = (dynamic_end_ - launch.shared) & ~uintptr_t(ALIGNMENT - 1);

  const uint64_t blocks = uint64_t(launch.grid.x) * launch.grid.y * launch.grid.z;
  first_run_ = next_run.fetch_add(uint32_t(blocks));
  runs_ = uint32_t(blocks);
  const char* schedule = getenv("EMULATOR_SCHEDULE");
  random_order_ = !schedule || strcmp(schedule, "inorder");
  random_ = 0x9E3779B97F4A7C15ull * uint64_t(setting("EMULATOR_SEED", 1) + 1);
  for (const char* c = launch.function->kernel->name; *c; ++c) random_ = (random_ ^ uint64_t(*c)) * 0x100000001B3ull;
  uint64_t step = 1, at = 0;  // blocks in the order at, at + step, ... modulo their number
  if (random_order_ && blocks > 1) {
    at = random() % blocks;
    do step = random() % blocks | 1;
    while (std::gcd(step, blocks) != 1);
  }

  Runner* outer = current_runner();
  set_current_runner(this);
  install_signals();
  for (uint64_t i = 0; i < blocks && !error_; ++i, at = (at + step) % blocks) {
    const unsigned x = unsigned(at % launch.grid.x), rest = unsigned(at / launch.grid.x);
    run_block({x, rest % launch.grid.y, rest / launch.grid.y}, uint32_t(at));
  }
  set_current_runner(outer);
  return CUresult(error_);
}

void Runner::run_block(uint3 block, uint32_t index) {
  block_ = block;
  run_ = first_run_ + index;
  epoch_ = 1;
  live_ = threads_;
  if (static_size_) memset(reinterpret_cast<void*>(static_begin_), POISON, static_size_);
  memset(reinterpret_cast<void*>(dynamic_begin_), POISON, dynamic_end_ - dynamic_begin_);
  warps_ = (threads_ + WARP - 1) / WARP;
  ready_warps_ = 0;
  for (int w = 0; w < warps_; ++w) {
    ready_[w] = 0;
    warp_epoch_[w] = 1;
    at_collective_[w] = 0;
    order_[w] = uint8_t(w);
    if (random_order_) std::swap(order_[w], order_[below(w + 1)]);
  }
  for (int i = 0; i < threads_; ++i) {
    state_[i] = NEW;
    set_ready(i);
  }
  for (auto& b : barriers_) b = Barrier();
  votes_[0] = votes_[1] = Votes();
  if (used_copies_)
    for (auto& c : copies_) c = Copies();
  used_copies_ = false;
  free_fibers_.clear();
  for (int i = threads_; i-- > 0;) free_fibers_.push_back(i);

  while (live_ && !error_) {
    if (!ready_warps_) {
      deadlock();
      break;
    }
    const int t = take();
    if (state_[t] == NEW) begin(t);
    current_ = t;
    emu_switch(&scheduler_, stack_pointer_[t]);
  }
  if (!error_) check_dynamic_shared_end();
}

// Dynamic shared memory ends at a guard page, to the alignment: the rest must be as it was.
void Runner::check_dynamic_shared_end() {
  const uintptr_t end = dynamic_begin_ + launch().shared;
  for (uintptr_t p = end; launch().shared && p < dynamic_end_; ++p) {
    if (*reinterpret_cast<unsigned char*>(p) == POISON) continue;
    header(0);
    report("  something wrote %zu bytes after the end of dynamic shared memory (%u bytes)", p - end, launch().shared);
    error_ = CUDA_ERROR_ILLEGAL_ADDRESS;
    return;
  }
}

uint64_t Runner::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  return random_ ^= random_ << 17;
}

void Runner::set_ready(int t) {
  ready_[t / WARP] |= 1u << (t % WARP);
  ready_warps_ |= 1u << (t / WARP);
}

// The next thread: a random lane of the first warp, in a random order of the warps, that can run. So one warp runs far
// ahead of another, as far as barriers let it (drawn evenly, races at a distance would hardly ever show); now and then
// the warp that runs moves to the end of that order.
int Runner::take() {
  int at = 0;
  while (!(ready_warps_ >> order_[at] & 1)) ++at;
  const int w = order_[at];
  unsigned lanes = ready_[w];
  if (random_order_) {
    const uint64_t r = random();
    const unsigned turn = unsigned(r >> 32) % WARP, low = lanes & ((1u << turn) - 1);
    if (lanes != low) lanes &= ~low;  // the next lane from a random one on
    if (!(r >> 40 & 63)) {
      memmove(order_ + at, order_ + at + 1, size_t(warps_ - at - 1));
      order_[warps_ - 1] = uint8_t(w);
    }
  }
  const int lane = __builtin_ctz(lanes);
  if (!(ready_[w] &= ~(1u << lane))) ready_warps_ &= ~(1u << w);
  return w * WARP + lane;
}

// Gives a thread a stack.
void Runner::begin(int t) {
  const int fiber = free_fibers_.back();
  free_fibers_.pop_back();
  fiber_of_[t] = fiber;
  for (; guarded_ <= fiber; ++guarded_)
    mprotect(reinterpret_cast<void*>(stacks_ + size_t(guarded_) * STACK), PAGE, PROT_NONE);
  const uintptr_t base = stacks_ + size_t(fiber) * STACK;
  Thread* thread = reinterpret_cast<Thread*>(base + STACK - color(base));
  place(thread, t);
  stack_pointer_[t] = fresh_stack(thread, &fiber_main);
}

void Runner::place(Thread* thread, int t) {
  const dim3 b = launch().block;
  thread->thread = {t % b.x, t / b.x % b.y, t / b.x / b.y};
  thread->block = block_;
  thread->block_dim = b;
  thread->grid_dim = launch().grid;
  thread->linear = unsigned(t);
  thread->dynamic_shared = reinterpret_cast<void*>(dynamic_begin_);
  thread->runner = this;
  state_[t] = READY;
}

void Runner::fiber_main() {
  Thread* thread = self();
  Runner* r = of(thread);
  for (;;) {
    r->launch().function->kernel->invoke(r->launch().arguments.data());
    r->finish(r->current_);
    // A thread that has not begun may run on this very stack, without a switch.
    if (!r->ready_warps_) break;
    const int t = r->take();
    if (r->state_[t] != NEW) {
      r->set_ready(t);
      break;
    }
    r->fiber_of_[t] = r->fiber_of_[r->current_];
    r->current_ = t;
    r->place(thread, t);
  }
  r->free_fibers_.push_back(r->fiber_of_[r->current_]);  // nothing else runs before the switch
  r->yield();
  __builtin_trap();
}

void Runner::finish(int t) {
  state_[t] = DONE;
  --live_;
  const Barrier& b = barriers_[0];
  if (live_ && int(b.waiting.size()) == live_ && b.count == 0) release(0);
}

// To any thread that can run, or else back to run_block.
void Runner::yield() {
  const int from = current_;
  if (!ready_warps_) return emu_switch(&stack_pointer_[from], scheduler_);
  const int t = take();
  if (t == from) return;
  if (state_[t] == NEW) begin(t);
  current_ = t;
  emu_switch(&stack_pointer_[from], stack_pointer_[t]);
}

// Abandons the fiber, and with it the launch.
void Runner::stop(int code) {
  error_ = code;
  emu_switch(&stack_pointer_[current_], scheduler_);
  __builtin_trap();
}

CUresult execute(const Launch& launch) {
  // Runners are large; each thread that launches borrows one.
  static std::mutex mutex;
  static std::vector<std::unique_ptr<Runner>> idle;
  std::unique_ptr<Runner> runner;
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!idle.empty()) {
      runner = std::move(idle.back());
      idle.pop_back();
    }
  }
  if (!runner) runner.reset(new Runner);
  static const bool trace = setting("EMULATOR_TRACE", 0);
  const auto start = std::chrono::steady_clock::now();
  CUresult e = runner->run(launch);
  const Kernel& kernel = *launch.function->kernel;
  if (trace) {
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    report("%s <<<(%u,%u,%u), (%u,%u,%u), %u>>> %.3f ms", kernel.name, launch.grid.x, launch.grid.y, launch.grid.z,
           launch.block.x, launch.block.y, launch.block.z, launch.shared, time.count());
  }
  for (unsigned i = 0; i < kernel.param_count && !e; ++i) {
    Allocation a;
    if (!kernel.params[i].pointee_align || !memory().find(*static_cast<uintptr_t*>(launch.arguments[i]), &a)) continue;
    if (memory().intact(a.address)) continue;
    report("  ... found after kernel %s", kernel.name);
    e = CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  std::lock_guard<std::mutex> lock(mutex);
  idle.push_back(std::move(runner));
  return e;
}

}  // namespace emu
