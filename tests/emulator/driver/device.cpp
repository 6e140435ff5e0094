// The device and its context.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "memory.h"
#include "report.h"
#include "runner.h"
#include "stream.h"

struct CUctx_st {};
static CUctx_st context;
static thread_local CUcontext current_context = nullptr;

API cuInit(unsigned) { return CUDA_SUCCESS; }
API cuDriverGetVersion(int* v) { return *v = 13000, CUDA_SUCCESS; }

API cuGetErrorName(CUresult e, const char** s) {
  switch (int(e)) {
#define NAME(n) \
  case n: *s = #n; return CUDA_SUCCESS;
    NAME(CUDA_SUCCESS)
    NAME(CUDA_ERROR_INVALID_VALUE)
    NAME(CUDA_ERROR_OUT_OF_MEMORY)
    NAME(CUDA_ERROR_INVALID_DEVICE)
    NAME(CUDA_ERROR_INVALID_IMAGE)
    NAME(CUDA_ERROR_INVALID_HANDLE)
    NAME(CUDA_ERROR_NOT_FOUND)
    NAME(CUDA_ERROR_NOT_READY)
    NAME(CUDA_ERROR_ILLEGAL_ADDRESS)
    NAME(CUDA_ERROR_ASSERT)
    NAME(CUDA_ERROR_MISALIGNED_ADDRESS)
    NAME(CUDA_ERROR_LAUNCH_FAILED)
    NAME(CUDA_ERROR_NOT_SUPPORTED)
    NAME(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)
    NAME(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED)
    NAME(CUDA_ERROR_STREAM_CAPTURE_ISOLATION)
    default: *s = "an error of the stand-in driver"; return CUDA_SUCCESS;
  }
}
API cuGetErrorString(CUresult e, const char** s) { return cuGetErrorName(e, s); }

API cuDeviceGetCount(int* n) {
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  return *n = !visible || *visible, CUDA_SUCCESS;
}
API cuDeviceGet(CUdevice* d, int i) { return *d = i, i ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS; }
API cuDeviceGetName(char* s, int n, CUdevice) {
  snprintf(s, size_t(n), "stand-in for a GPU");
  return CUDA_SUCCESS;
}
API cuDeviceGetUuid_v2(CUuuid* u, CUdevice) { return memset(u, 0xC0, sizeof *u), CUDA_SUCCESS; }
API cuDeviceTotalMem_v2(size_t* n, CUdevice) {
  size_t free;
  emu::memory().info(&free, n);
  return CUDA_SUCCESS;
}
API cuDeviceGetAttribute(int* v, CUdevice_attribute a, CUdevice) {
  const long capability = emu::setting("EMULATOR_CAPABILITY", 90);
  switch (int(a)) {
    case 1: *v = emu::MAX_THREADS; break;   // threads of a block
    case 2: case 3: *v = 1024; break;       // a block's x, y
    case 4: *v = 64; break;                 // its z
    case 5: *v = 0x7FFFFFFF; break;         // a grid's x
    case 6: case 7: *v = 65535; break;      // its y, z
    case 8: *v = 48 << 10; break;           // shared memory of a block
    case 10: *v = emu::WARP; break;
    case 12: *v = 65536; break;             // registers of a block
    case 13: case 36: *v = 1000000; break;  // clocks, kHz
    case 16: *v = 4; break;                 // multiprocessors: few, so that the ways of full ones are taken early
    case 37: *v = 5120; break;              // memory bus, bits
    case 38: *v = 50 << 20; break;          // L2
    case 39: *v = 2048; break;              // threads of a multiprocessor
    case 75: *v = int(capability / 10); break;
    case 76: *v = int(capability % 10); break;
    case 81: *v = 228 << 10; break;         // shared memory of a multiprocessor
    case 82: *v = 65536; break;             // its registers
    case 97: *v = emu::MAX_SHARED; break;   // shared memory of a block, if asked for
    case 106: *v = 32; break;               // blocks of a multiprocessor
    case 111: *v = 1 << 10; break;          // shared memory that the system keeps
    case 115: *v = 1; break;                // memory pools
    default: *v = 0;
  }
  return CUDA_SUCCESS;
}

API cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice) { return *c = &context, CUDA_SUCCESS; }
API cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }
API cuCtxGetCurrent(CUcontext* c) { return *c = current_context, CUDA_SUCCESS; }
API cuCtxSetCurrent(CUcontext c) { return current_context = c, CUDA_SUCCESS; }
API cuCtxSynchronize() {
  emu::report_call("cuCtxSynchronize");
  return emu::capture_forbids() ? emu::capture_error("cuCtxSynchronize") : emu::drain_all();
}
API cuCtxGetStreamPriorityRange(int* low, int* high) { return *low = 0, *high = -5, CUDA_SUCCESS; }
API cuProfilerStart() { return CUDA_SUCCESS; }
API cuProfilerStop() { return CUDA_SUCCESS; }
