// Modules: shared libraries of kernels, made by the build from kernels/*.cu.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "../abi.h"
#include "types.h"

struct CUfunc_st {
  CUmod_st* module;
  const emu::Kernel* kernel;
  int most_dynamic_shared = 48 << 10;
};

struct CUmod_st {
  void* library = nullptr;
  int file = -1;
  emu::ModuleInit init = nullptr;
  bool checked = false;  // announces its loads and stores
  uintptr_t begin = 0, end = 0;
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
  std::mutex mutex;

  bool holds(uintptr_t a) const { return a - begin < end - begin; }
};

namespace emu {

// The source line of an instruction.
std::string source_line(const CUmod_st*, uintptr_t instruction);

// The calling thread's copy of a module's thread-locals: its static __shared__ variables.
void static_shared(CUmod_st*, uintptr_t* begin, size_t* size);

}  // namespace emu
