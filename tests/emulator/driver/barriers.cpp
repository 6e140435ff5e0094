// Where threads meet: barriers of a block, collectives of a warp.
#include <algorithm>
#include <map>

#include "report.h"
#include "runner.h"

namespace emu {

// Waits for all threads that have not exited, and insists that all of them are at the same source line.
void Runner::barrier(Thread* thread, int id, int count, Where where) {
  Runner* r = of(thread);
  if (id < 0 || id > 15) fail(thread, CUDA_ERROR_LAUNCH_FAILED, "the number of a barrier is 0 to 15", where);
  Barrier& b = r->barriers_[id];
  if (!b.waiting.empty() && count == 0) {
    const int other = b.waiting[0];
    const Where there = r->where_[other];
    if (there.line != where.line || there.file != where.file) {
      r->header(r->current_);
      report("  is at __syncthreads at %s:%d while thread %d of the block waits at %s:%d", where.file, where.line, other,
             there.file, there.line);
      r->stop(CUDA_ERROR_LAUNCH_FAILED);
    }
  }
  const int t = r->current_;
  b.count = count;
  b.waiting.push_back(t);
  r->where_[t] = where;
  r->state_[t] = AT_BARRIER;
  if (int(b.waiting.size()) == (count ? count : r->live_)) r->release(id);
  r->yield();
}

void Runner::release(int id) {
  for (int t : barriers_[id].waiting) {
    state_[t] = READY;
    set_ready(t);
  }
  barriers_[id].waiting.clear();
  ++epoch_;
  if (id == 0) votes_[votes_now_ ^= 1] = Votes();
}

int Runner::barrier_vote(Thread* thread, int value, Vote vote, Where where) {
  Runner* r = of(thread);
  const int now = r->votes_now_;
  Votes& votes = r->votes_[now];
  votes.count += value != 0;
  votes.all = votes.all && value;
  votes.any = votes.any || value;
  barrier(thread, 0, 0, where);
  const Votes result = r->votes_[now];
  return vote == Vote::COUNT ? result.count : vote == Vote::AND ? result.all : result.any;
}

// Every lane leaves pointers to its input and output; the last one to come does the work for all.
void Runner::collective(Thread* thread, unsigned mask, WarpFn fn, const void* in, void* out, Where where) {
  Runner* r = of(thread);
  const int t = r->current_, warp = t / WARP, first = warp * WARP;
  const int lanes = std::min(WARP, r->threads_ - first);
  if (lanes < WARP) mask &= (1u << lanes) - 1;  // lanes that do not exist take no part
  if (!(mask >> (t - first) & 1))
    fail(thread, CUDA_ERROR_LAUNCH_FAILED, "a lane calls a warp collective whose mask leaves it out", where);
  r->where_[t] = where;
  r->waiting_[t] = {mask, fn, in, out};
  r->state_[t] = AT_COLLECTIVE;
  unsigned& here = r->at_collective_[warp];
  here |= 1u << (t - first);
  bool all = (here & mask) == mask;
  for (unsigned m = all ? mask : 0; m && all; m &= m - 1) {
    const Waiting& other = r->waiting_[first + __builtin_ctz(m)];
    all = other.mask == mask && other.fn == fn;
  }
  if (!all) return r->yield();
  here &= ~mask;
  const void* ins[WARP] = {};
  void* outs[WARP] = {};
  for (unsigned m = mask; m; m &= m - 1) {
    const int lane = __builtin_ctz(m);
    ins[lane] = r->waiting_[first + lane].in;
    outs[lane] = r->waiting_[first + lane].out;
  }
  fn(mask, ins, outs);
  // Shuffles and votes move values; what lanes wrote to memory is ordered by __syncwarp alone.
  if (!out) ++r->warp_epoch_[warp];
  for (unsigned m = mask; m; m &= m - 1) {
    const int other = first + __builtin_ctz(m);
    r->state_[other] = READY;
    if (other != t) r->set_ready(other);
  }
}

void Runner::fence(Thread* thread) { of(thread)->fenced_ = true; }

void Runner::deadlock() {
  header(-1);
  report("  deadlock: %d threads wait for what cannot come", live_);
  std::map<std::string, std::pair<int, int>> kinds;  // how many, and the first
  for (int t = 0; t < threads_; ++t) {
    char text[256] = "have exited";
    const char* what = state_[t] == AT_BARRIER ? "barrier of the block" : "warp collective";
    if (state_[t] != DONE) snprintf(text, sizeof text, "wait in a %s at %s:%d", what, where_[t].file, where_[t].line);
    ++kinds.emplace(text, std::make_pair(0, t)).first->second.first;
  }
  for (auto& [text, threads] : kinds)
    report("  %d threads (the first is %d) %s", threads.first, threads.second, text.c_str());
  error_ = CUDA_ERROR_LAUNCH_FAILED;
}

}  // namespace emu
