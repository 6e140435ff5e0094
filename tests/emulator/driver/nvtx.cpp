// A tool for NVTX, which NVTX_INJECTION64_PATH tells a program to load: with EMULATOR_RANGES=1 every range becomes a line
// on stderr when it begins and when it ends, its name indented by how deep it is.
#include <cstddef>
#include <cstdint>

#include "report.h"

namespace {

// NVTX's tables of functions: what it exports, and where a tool's functions go.
struct ExportCallbacks {
  size_t size;
  int (*functions)(int module, void*** table, unsigned* size);
};
typedef const void* (*GetExportTable)(uint32_t id);
constexpr int CALLBACKS = 1, CORE = 1;
constexpr unsigned RANGE_PUSH = 9, RANGE_POP = 11;

thread_local int depth = 0;

int range_push(const char* name) {
  emu::report("range %*s%s", 2 * depth, "", name);
  return depth++;
}
int range_pop() { return emu::report("range %*send", 2 * (depth - 1), ""), --depth; }

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(GetExportTable get) {
  if (!emu::setting("EMULATOR_RANGES", 0)) return 1;
  const auto* callbacks = static_cast<const ExportCallbacks*>(get(CALLBACKS));
  void** table;
  unsigned size;
  if (!callbacks || !callbacks->functions(CORE, &table, &size) || size <= RANGE_POP) return 0;
  *reinterpret_cast<int (**)(const char*)>(table[RANGE_PUSH]) = range_push;
  *reinterpret_cast<int (**)()>(table[RANGE_POP]) = range_pop;
  return 1;
}
