// Allocating, copying and filling memory.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "memory.h"
#include "report.h"
#include "stream.h"

using emu::memory;
using emu::stream_of;

static void* at(CUdeviceptr p) { return reinterpret_cast<void*>(p); }

API cuMemGetInfo_v2(size_t* free, size_t* total) { return memory().info(free, total), CUDA_SUCCESS; }

API cuMemAlloc_v2(CUdeviceptr* p, size_t n) {
  emu::report_call("cuMemAlloc");
  if (!n) return CUDA_ERROR_INVALID_VALUE;
  if (emu::capture_forbids()) return emu::capture_error("cuMemAlloc");
  return memory().allocate(p, n);
}

API cuMemFree_v2(CUdeviceptr p) {
  emu::report_call("cuMemFree");
  if (emu::capture_forbids()) return emu::capture_error("cuMemFree");
  const CUresult earlier = emu::drain_all(), e = memory().free(p);
  return earlier ? earlier : e;
}

API cuMemAllocAsync(CUdeviceptr* p, size_t n, CUstream s) {
  emu::report_call("cuMemAllocAsync");
  *p = 0;
  if (!n) return CUDA_SUCCESS;
  if (const CUresult e = memory().allocate(p, n)) return e;
  std::lock_guard<std::recursive_mutex> lock(emu::streams().mutex);
  if (auto graph = stream_of(s)->capture) {  // the graph's own memory: fresh at every launch
    graph->owned.push_back(*p);
    graph->operations.push_back([q = *p, n] {
      memset(at(q), emu::POISON, n);
      return CUDA_SUCCESS;
    });
  }
  return CUDA_SUCCESS;
}

API cuMemFreeAsync(CUdeviceptr p, CUstream s) {
  emu::report_call("cuMemFreeAsync");
  {
    std::lock_guard<std::recursive_mutex> lock(emu::streams().mutex);
    if (auto graph = stream_of(s)->capture) {
      if (std::find(graph->owned.begin(), graph->owned.end(), p) != graph->owned.end()) return CUDA_SUCCESS;
      return emu::capture_error("freeing memory that was allocated before the capture");
    }
  }
  return emu::enqueue(s, [p] { return memory().free(p); });
}

API cuMemHostAlloc(void** p, size_t n, unsigned) {
  emu::report_call("cuMemHostAlloc");
  return *p = memory().pin(n), CUDA_SUCCESS;
}

API cuMemFreeHost(void* p) {
  emu::report_call("cuMemFreeHost");
  emu::drain_all();
  return memory().unpin(p) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t n, CUstream s) {
  if (!memory().contains(to, n, "copy to the device")) return CUDA_ERROR_INVALID_VALUE;
  if (!memory().is_pinned(from)) emu::report_call("cuMemcpyHtoDAsync of pageable memory");
  if (emu::lazy() && !memory().is_pinned(from) && !stream_of(s)->capture) {  // pageable: the driver reads it now
    const auto* bytes = static_cast<const char*>(from);
    auto data = std::make_shared<std::vector<char>>(bytes, bytes + n);
    return emu::enqueue(s, [=] { return memcpy(at(to), data->data(), n), CUDA_SUCCESS; });
  }
  return emu::enqueue(s, [=] { return memcpy(at(to), from, n), CUDA_SUCCESS; });
}

API cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t n, CUstream s) {
  if (!memory().contains(from, n, "copy from the device")) return CUDA_ERROR_INVALID_VALUE;
  if (!memory().is_pinned(to)) emu::report_call("cuMemcpyDtoHAsync to pageable memory");
  const CUresult e = emu::enqueue(s, [=] { return memcpy(to, at(from), n), CUDA_SUCCESS; });
  // Into pageable memory the driver returns when the copy is done.
  return e || stream_of(s)->capture || memory().is_pinned(to) ? e : emu::drain(stream_of(s));
}

API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s) {
  if (!memory().contains(from, n, "device copy, source") || !memory().contains(to, n, "device copy, destination"))
    return CUDA_ERROR_INVALID_VALUE;
  return emu::enqueue(s, [=] { return memmove(at(to), at(from), n), CUDA_SUCCESS; });
}

API cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t n) {
  emu::report_call("cuMemcpyHtoD");
  const CUresult e = cuMemcpyHtoDAsync_v2(to, from, n, nullptr);
  return e ? e : emu::drain(stream_of(nullptr));
}

API cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t n) { return cuMemcpyDtoHAsync_v2(to, from, n, nullptr); }

template <class T>
static CUresult fill(CUdeviceptr p, T v, size_t n, CUstream s) {
  if (!memory().contains(p, n * sizeof(T), "memset")) return CUDA_ERROR_INVALID_VALUE;
  return emu::enqueue(s, [=] { return std::fill_n(static_cast<T*>(at(p)), n, v), CUDA_SUCCESS; });
}
API cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, CUstream s) { return fill(p, v, n, s); }
API cuMemsetD32Async(CUdeviceptr p, unsigned v, size_t n, CUstream s) { return fill(p, v, n, s); }
API cuMemsetD8_v2(CUdeviceptr p, unsigned char v, size_t n) {
  emu::report_call("cuMemsetD8");
  const CUresult e = fill(p, v, n, nullptr);
  return e ? e : emu::drain(stream_of(nullptr));
}
