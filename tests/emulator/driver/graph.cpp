// Graphs: capturing runs nothing, launching runs the list.
#include "memory.h"
#include "report.h"
#include "stream.h"

using emu::streams;

API cuStreamBeginCapture_v2(CUstream s, CUstreamCaptureMode mode) {
  if (emu::stream_of(s) == &streams().main) {
    emu::report("the default stream cannot be captured");
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  s->capture = std::make_shared<CUgraph_st>();
  s->capture->mode = int(mode);
  s->capture->thread = std::this_thread::get_id();
  s->capture_began_here = true;
  return CUDA_SUCCESS;
}

API cuStreamIsCapturing(CUstream s, CUstreamCaptureStatus* v) {
  *v = CUstreamCaptureStatus(emu::stream_of(s)->capture ? 1 : 0);
  return CUDA_SUCCESS;
}

API cuStreamEndCapture(CUstream s, CUgraph* g) {
  std::lock_guard<std::recursive_mutex> lock(streams().mutex);
  *g = nullptr;
  auto capture = s->capture;
  if (!capture || !s->capture_began_here) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  for (auto* other : streams().all)
    if (other->capture == capture) other->capture.reset();
  s->capture_began_here = false;
  *g = new CUgraph_st(std::move(*capture));
  return CUDA_SUCCESS;
}

API cuGraphInstantiateWithFlags(CUgraphExec* x, CUgraph g, unsigned long long) {
  emu::report_call("cuGraphInstantiate");
  *x = new CUgraphExec_st{g->operations};
  return CUDA_SUCCESS;
}

API cuGraphGetNodes(CUgraph g, CUgraphNode* nodes, size_t* n) {  // how many, no more
  if (nodes) return CUDA_ERROR_NOT_SUPPORTED;
  *n = g->operations.size();
  return CUDA_SUCCESS;
}

API cuGraphLaunch(CUgraphExec x, CUstream s) {
  return emu::enqueue(s, [operations = x->operations] {
    for (auto& operation : operations)
      if (const CUresult e = operation()) return e;
    return CUDA_SUCCESS;
  });
}

API cuGraphUpload(CUgraphExec, CUstream) { return CUDA_SUCCESS; }

API cuGraphExecDestroy(CUgraphExec x) {
  delete x;
  return CUDA_SUCCESS;
}

API cuGraphDestroy(CUgraph g) {
  const CUresult e = emu::drain_all();
  for (CUdeviceptr p : g->owned) emu::memory().free(p);
  delete g;
  return e;
}
