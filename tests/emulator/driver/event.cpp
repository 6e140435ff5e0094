// Events: places in a stream's work, and the time when they were reached.
#include "report.h"
#include "stream.h"

using emu::streams;
using std::chrono::steady_clock;

API cuEventCreate(CUevent* e, unsigned) {
  *e = new CUevent_st;
  return CUDA_SUCCESS;
}

API cuEventDestroy_v2(CUevent e) {
  delete e;
  return CUDA_SUCCESS;
}

API cuEventRecord(CUevent e, CUstream handle) {
  CUstream_st* s = emu::stream_of(handle);
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  e->recorded = true;
  e->stream = s;
  e->captured = bool(s->capture);
  e->capture = s->capture;
  if (s->capture) return CUDA_SUCCESS;
  e->time = std::make_shared<steady_clock::time_point>();
  const CUresult result = emu::enqueue(handle, [time = e->time] {
    *time = steady_clock::now();
    return CUDA_SUCCESS;
  });
  e->place = s->queued;
  return result;
}

API cuEventSynchronize(CUevent e) {
  emu::report_call("cuEventSynchronize");
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  if (e->recorded && !e->captured) emu::run_until(e->stream, e->place);
  return emu::take_error();
}

API cuEventQuery(CUevent e) {
  return !e->recorded || e->stream->done >= e->place ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

API cuEventElapsedTime_v2(float* ms, CUevent a, CUevent b) {
  if (!a->time || !b->time) return CUDA_ERROR_INVALID_HANDLE;
  *ms = std::chrono::duration<float, std::milli>(*b->time - *a->time).count();
  return CUDA_SUCCESS;
}
