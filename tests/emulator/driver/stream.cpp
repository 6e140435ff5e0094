#include "stream.h"

#include <utility>

#include "report.h"

namespace emu {

Streams& streams() {
  static Streams* s = new Streams;
  return *s;
}

CUstream_st* stream_of(CUstream s) { return reinterpret_cast<uintptr_t>(s) <= 2 ? &streams().main : s; }

bool lazy() {
  static const bool value = setting("EMULATOR_LAZY", 0);
  return value;
}

void run_until(CUstream_st* s, uint64_t place) {
  while (s->done < place && !s->queue.empty()) {
    Operation operation = std::move(s->queue.front());
    s->queue.pop_front();
    ++s->done;
    const CUresult e = operation();
    if (e && !streams().error) streams().error = e;
  }
}

CUresult take_error() { return std::exchange(streams().error, CUDA_SUCCESS); }

CUresult drain(CUstream_st* s) {
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  run_until(s, s->queued);
  return take_error();
}

CUresult drain_all() {
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  run_until(&streams().main, streams().main.queued);
  for (auto* s : streams().all) run_until(s, s->queued);
  return take_error();
}

CUresult enqueue(CUstream handle, Operation operation) {
  CUstream_st *s = stream_of(handle), *main = &streams().main;
  std::unique_lock<std::recursive_mutex> lock(streams().mutex);
  if (s->capture) {
    s->capture->operations.push_back(std::move(operation));
    return CUDA_SUCCESS;
  }
  if (!lazy()) {
    lock.unlock();
    return operation();
  }
  if (s == main)
    for (auto* other : streams().all)
      if (other->blocking) run_until(other, other->queued);
  if (s != main && s->blocking) run_until(main, main->queued);
  s->queue.push_back(std::move(operation));
  ++s->queued;
  return CUDA_SUCCESS;
}

bool capture_forbids() {
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  for (auto* s : streams().all) {
    if (!s->capture) continue;
    const bool own = s->capture->thread == std::this_thread::get_id();
    if (s->capture->mode == 0 || (s->capture->mode == 1 && own)) return true;
  }
  return false;
}

CUresult capture_error(const char* what) {
  report("%s is not allowed while a stream is being captured", what);
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

}  // namespace emu

// ---- the driver's functions ----
using emu::streams;

API cuStreamCreate(CUstream* s, unsigned flags) {
  *s = new CUstream_st;
  (*s)->blocking = !(flags & 1);
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  streams().all.insert(*s);
  return CUDA_SUCCESS;
}

API cuStreamCreateWithPriority(CUstream* s, unsigned flags, int) { return cuStreamCreate(s, flags); }

API cuStreamDestroy_v2(CUstream s) {
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  const CUresult e = emu::drain(s);
  streams().all.erase(s);  // but not deleted: an event may still name it
  return e;
}

API cuStreamSynchronize(CUstream s) {
  emu::report_call("cuStreamSynchronize");
  if (emu::stream_of(s)->capture) return emu::capture_error("cuStreamSynchronize");
  return emu::drain(emu::stream_of(s));
}

API cuStreamQuery(CUstream s) {
  return emu::stream_of(s)->done == emu::stream_of(s)->queued ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

API cuStreamWaitEvent(CUstream handle, CUevent e, unsigned) {
  CUstream_st* s = emu::stream_of(handle);
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  if (!e->recorded) return CUDA_SUCCESS;
  if (e->captured) {  // joins the capture that the event belongs to
    if (auto graph = e->capture.lock()) {
      if (s->capture && s->capture != graph) return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
      s->capture = graph;
    }
    return CUDA_SUCCESS;
  }
  if (s->capture) {
    emu::report("a captured stream waits for an event that was recorded outside of the capture");
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  return emu::enqueue(handle, [other = e->stream, place = e->place] {
    emu::run_until(other, place);
    return CUDA_SUCCESS;
  });
}
