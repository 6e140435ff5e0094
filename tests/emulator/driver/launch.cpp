// Launches: what is wrong with one before any thread runs, and what can be asked of a kernel.
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "report.h"
#include "runner.h"
#include "stream.h"

namespace emu {

namespace {

// Copies an argument, if it is readable: a parameter too few shows as memory that is not there.
bool read_argument(void* to, const void* from, size_t size) {
  const iovec local{to, size}, remote{const_cast<void*>(from), size};
  if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == ssize_t(size)) return true;
  if (errno == EFAULT || !from) return false;
  memcpy(to, from, size);  // not allowed to ask here: without the check
  return true;
}

}  // namespace

CUresult launch(CUfunction f, dim3 grid, dim3 block, unsigned shared, CUstream stream, void** params) {
  const Kernel& k = *f->kernel;
  const auto refuse = [&](const char* format, auto... arguments) {
    char why[256];
    snprintf(why, sizeof why, format, arguments...);
    report("launch of %s, grid (%u,%u,%u), block (%u,%u,%u), %u bytes shared: %s", k.name, grid.x, grid.y, grid.z,
           block.x, block.y, block.z, shared, why);
    return CUDA_ERROR_INVALID_VALUE;
  };
  if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535 || grid.x > 0x7FFFFFFFu)
    return refuse("bad grid%s", "");
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (!threads || block.z > 64 || threads > k.threads) return refuse("bad block (at most %u threads here)", k.threads);
  if (int64_t(shared) > f->most_dynamic_shared)
    return refuse("at most %d bytes of dynamic shared memory without cuFuncSetAttribute", f->most_dynamic_shared);

  auto l = std::make_shared<Launch>();
  l->function = f;
  l->grid = grid;
  l->block = block;
  l->shared = shared;
  size_t bytes = 0;
  std::vector<size_t> at;
  for (unsigned i = 0; i < k.param_count; ++i) {
    bytes = (bytes + k.params[i].align - 1) / k.params[i].align * k.params[i].align;
    at.push_back(bytes);
    bytes += k.params[i].size;
  }
  l->storage.resize(bytes / sizeof(std::max_align_t) + 1);
  for (unsigned i = 0; i < k.param_count; ++i) {
    const Param& p = k.params[i];
    void* to = reinterpret_cast<char*>(l->storage.data()) + at[i];
    l->arguments.push_back(to);
    if (!read_argument(to, params[i], p.size))
      return refuse("parameter %u of %u cannot be read: too few arguments?", i, k.param_count);
    if (!p.pointee_align) continue;
    const uintptr_t v = *static_cast<uintptr_t*>(to);
    Allocation a;
    if (v && !memory().find(v, &a) && !memory().is_pinned(reinterpret_cast<void*>(v)) && !f->module->holds(v))
      return refuse("parameter %u is a pointer, but 0x%zx is %s", i, v, memory().describe(v).c_str());
    if (v % p.pointee_align) return refuse("parameter %u: 0x%zx is not aligned to %u", i, v, p.pointee_align);
  }
  return enqueue(stream, [l] { return execute(*l); });
}

}  // namespace emu

// ---- the driver's functions ----

API cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, CUstream s, void** params, void**) {
  return emu::launch(f, dim3(gx, gy, gz), dim3(bx, by, bz), shared, s, params);
}

API cuLaunchHostFunc(CUstream s, CUhostFn fn, void* argument) {
  return emu::enqueue(s, [=] {
    fn(argument);
    return CUDA_SUCCESS;
  });
}

API cuFuncGetAttribute(int* v, CUfunction_attribute a, CUfunction f) {
  switch (int(a)) {
    case 0: *v = int(f->kernel->threads); break;  // most threads of a block
    case 4: *v = 32; break;                       // registers
    case 5: case 6: *v = int(emu::setting("EMULATOR_CAPABILITY", 90)); break;
    case 8: *v = f->most_dynamic_shared; break;
    default: *v = 0;
  }
  return CUDA_SUCCESS;
}

API cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int v) {
  if (int(a) == 8) {
    if (v > emu::MAX_SHARED) return CUDA_ERROR_INVALID_VALUE;
    f->most_dynamic_shared = v;
  }
  return CUDA_SUCCESS;
}

API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n, CUfunction, int threads, size_t shared) {
  *n = std::max(0, std::min(2048 / std::max(threads, 1), shared ? int((228 << 10) / (shared + 1024)) : 32));
  return CUDA_SUCCESS;
}
