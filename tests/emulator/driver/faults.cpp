// What a kernel does wrong, told: which kernel, block and thread, where in the source. A fault ends the launch with an
// error; the process goes on, and other tests with it.
#include "faults.h"

#include <signal.h>
#include <ucontext.h>

#include <memory>
#include <mutex>

#include "fiber.h"
#include "report.h"
#include "runner.h"

namespace emu {

namespace {

__attribute__((tls_model("initial-exec"))) thread_local Runner* runner = nullptr;
struct sigaction previous[65];

#if defined(__x86_64__)
greg_t& instruction(ucontext_t* c) { return c->uc_mcontext.gregs[REG_RIP]; }
greg_t& stack(ucontext_t* c) { return c->uc_mcontext.gregs[REG_RSP]; }
#else
unsigned long long& instruction(ucontext_t* c) { return c->uc_mcontext.pc; }
unsigned long long& stack(ucontext_t* c) { return c->uc_mcontext.sp; }
#endif

}  // namespace

Runner* current_runner() { return runner; }
void set_current_runner(Runner* r) { runner = r; }

bool Runner::on_stack(uintptr_t a) const { return a - stacks_ < size_t(MAX_THREADS) * STACK; }

void Runner::install_signals() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = [](int signal, siginfo_t* info, void* context) { on_signal(signal, info, context); };
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int s : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(s, &action, &previous[s]);
  });
  stack_t now;
  if (!sigaltstack(nullptr, &now) && (now.ss_flags & SS_DISABLE)) {
    static thread_local std::unique_ptr<char[]> memory(new char[64 << 10]);
    stack_t own = {};
    own.ss_sp = memory.get();
    own.ss_size = 64 << 10;
    sigaltstack(&own, nullptr);
  }
}

void Runner::on_signal(int signal, void* info_, void* context_) {
  Runner* r = runner;
  const auto* info = static_cast<siginfo_t*>(info_);
  auto* context = static_cast<ucontext_t*>(context_);
  // One stack more below: where the pointer lands when the lowest stack overflows.
  if (!r || !(r->on_stack(uintptr_t(stack(context))) || r->on_stack(uintptr_t(stack(context)) + STACK))) {
    sigaction(signal, &previous[signal], nullptr);  // not a kernel's: as if we were not here
    return;
  }
  r->fault_ = {signal, info->si_code, uintptr_t(info->si_addr), uintptr_t(instruction(context))};
  // Go on, out of the handler, at the top of the fiber's stack: what was on it is given up.
  const uintptr_t base = r->stacks_ + size_t(r->fiber_of_[r->current_]) * STACK;
  stack(context) = ((base + STACK - color(base) - 64) & ~uintptr_t(15)) - sizeof(void*);
  instruction(context) = reinterpret_cast<uintptr_t>(&faulted);
}

void Runner::faulted() {
  Runner* r = runner;
  const Fault f = r->fault_;
  const uintptr_t stack = r->stacks_ + size_t(r->fiber_of_[r->current_]) * STACK;
  const unsigned shared = r->launch().shared;
  int code = CUDA_ERROR_LAUNCH_FAILED;
  r->header(r->current_);
  if (f.signal == SIGFPE) {
    report("  integer division by zero");
  } else if (f.signal == SIGILL) {
    report("  trap");
  } else if (f.address - stack < PAGE) {
    report("  the thread's stack (%zu KiB) overflowed", STACK >> 10);
  } else if (f.signal == SIGSEGV && f.code == SI_KERNEL) {
    report("  a misaligned vector access or a wild pointer");
    code = CUDA_ERROR_MISALIGNED_ADDRESS;
  } else {
    if (f.address - r->dynamic_end_ < PAGE)
      report("  access %zu bytes after the end of dynamic shared memory (%u bytes)",
             f.address - r->dynamic_begin_ - shared, shared);
    else
      report("  access at 0x%zx: %s", f.address, memory().describe(f.address).c_str());
    code = CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  report("  at %s", source_line(r->launch().function->module, f.instruction).c_str());
  r->stop(code);
}

void Runner::fail(Thread* thread, int code, const char* what, Where where) {
  Runner* r = of(thread);
  r->header(r->current_);
  report("  %s, at %s:%d", what, where.file, where.line);
  r->stop(code);
}

void Runner::header(int t) {
  const dim3 g = launch().grid, b = launch().block;
  char thread[64] = "";
  if (t >= 0) snprintf(thread, sizeof thread, ", thread (%u,%u,%u)", t % b.x, t / b.x % b.y, t / b.x / b.y);
  report("kernel %s, grid (%u,%u,%u), block of (%u,%u,%u): block (%u,%u,%u)%s", launch().function->kernel->name, g.x,
         g.y, g.z, b.x, b.y, b.z, block_.x, block_.y, block_.z, thread);
}

void Runner::tell_line(const void* pc) {  // a return address: the line of the instruction before it
  if (pc) report("  at %s", source_line(launch().function->module, uintptr_t(pc) - 1).c_str());
}

}  // namespace emu
