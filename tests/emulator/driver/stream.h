// Streams: work is done at once, or with EMULATOR_LAZY=1 when something waits for it, which shows missing waits.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "types.h"

namespace emu {
typedef std::function<CUresult()> Operation;
}

// A list of operations, run again in order.
struct CUgraph_st {
  std::vector<emu::Operation> operations;
  std::vector<CUdeviceptr> owned;  // memory that was allocated while it was captured
  int mode = 0;                    // CUstreamCaptureMode: global, of this thread, relaxed
  std::thread::id thread;
};

struct CUgraphExec_st {
  std::vector<emu::Operation> operations;
};

struct CUstream_st {
  bool blocking = true;  // waits for the default stream, and it for this one
  std::deque<emu::Operation> queue;
  uint64_t queued = 0, done = 0;
  std::shared_ptr<CUgraph_st> capture;
  bool capture_began_here = false;
};

struct CUevent_st {
  bool recorded = false;
  CUstream_st* stream = nullptr;
  uint64_t place = 0;  // in the stream's work
  bool captured = false;
  std::weak_ptr<CUgraph_st> capture;
  std::shared_ptr<std::chrono::steady_clock::time_point> time;
};

namespace emu {

struct Streams {
  std::recursive_mutex mutex;
  std::set<CUstream_st*> all;  // but the default one
  CUstream_st main;            // the default one
  CUresult error = CUDA_SUCCESS;
};
Streams& streams();

CUstream_st* stream_of(CUstream);
bool lazy();

// Puts an operation into a stream, or into the graph that is being captured from it.
CUresult enqueue(CUstream, Operation);
// Runs a stream's work up to a place, all of it, or all work there is; the latter two give the first error.
void run_until(CUstream_st*, uint64_t place);
CUresult drain(CUstream_st*);
CUresult drain_all();
CUresult take_error();

// Whether a capture is under way that forbids this thread what would wait or allocate; and the error for it.
bool capture_forbids();
CUresult capture_error(const char* what);

}  // namespace emu
