#include "module.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "report.h"
#include "stream.h"

namespace emu {

std::string source_line(const CUmod_st* m, uintptr_t pc) {
  if (!pc || !m->holds(pc)) return "outside of the kernel's module (a library call?)";
  char line[512];
  snprintf(line, sizeof line, "addr2line -Cfpi -e /proc/%d/fd/%d 0x%zx 2>/dev/null", int(getpid()), m->file, pc - m->begin);
  std::string lines;
  if (FILE* f = popen(line, "r")) {
    while (fgets(line, sizeof line, f)) lines += (lines.empty() ? "" : "[emulator]      ") + std::string(line);
    pclose(f);
  }
  while (!lines.empty() && lines.back() == '\n') lines.pop_back();
  snprintf(line, sizeof line, "module+0x%zx", pc - m->begin);
  return lines.empty() ? line : lines;
}

void static_shared(CUmod_st* m, uintptr_t* begin, size_t* size) {
  struct Search {
    CUmod_st* module;
    uintptr_t begin;
    size_t size;
  } search{m, 0, 0};
  dl_iterate_phdr([](dl_phdr_info* info, size_t, void* p) {
    auto* s = static_cast<Search*>(p);
    if (info->dlpi_addr != s->module->begin) return 0;
    for (int h = 0; h < info->dlpi_phnum; ++h)
      if (info->dlpi_phdr[h].p_type == PT_TLS) {
        s->begin = reinterpret_cast<uintptr_t>(info->dlpi_tls_data);
        s->size = s->begin ? info->dlpi_phdr[h].p_memsz : 0;
      }
    return 1;
  }, &search);
  *begin = search.begin;
  *size = search.size;
}

namespace {

// A file for the library: in memory, or for a debugger in the folder EMULATOR_DUMP.
int open_file(char* path, size_t size) {
  static std::atomic<int> serial{0};
  if (const char* folder = getenv("EMULATOR_DUMP")) {
    snprintf(path, size, "%s/module-%d.so", folder, ++serial);
    return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  }
  const int file = memfd_create("emulator-module", MFD_CLOEXEC);
  snprintf(path, size, "/proc/self/fd/%d", file);
  return file;
}

// The image of that name in the folder EMULATOR_IMAGES, if there is one: so kernels are changed without the program.
std::string replacement(const ImageHeader& header) {
  const char* folder = getenv("EMULATOR_IMAGES");
  if (!folder) return {};
  std::ifstream file(std::string(folder) + "/" + header.name + ".fatbin", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

CUresult load(CUmodule* out, const char* image) {
  *out = nullptr;
  ImageHeader header;
  memcpy(&header, image, 8);
  if (memcmp(header.magic, "EMULATOR", 8)) {
    report("this module is not for the stand-in driver (real GPU code?): build with the feature `emulator`");
    return CUDA_ERROR_INVALID_IMAGE;
  }
  memcpy(&header, image, sizeof header);
  const std::string other = replacement(header);
  if (!other.empty()) {
    image = other.data();
    memcpy(&header, image, sizeof header);
  }
  const char* library = image + sizeof header;
  const uint64_t size = header.size;
  auto m = std::make_unique<CUmod_st>();
  char path[512];
  m->file = open_file(path, sizeof path);
  for (uint64_t at = 0; at < size;) {
    const ssize_t written = write(m->file, library + at, size - at);
    if (written <= 0) return CUDA_ERROR_OUT_OF_MEMORY;
    at += uint64_t(written);
  }
  m->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!m->library) {
    report("dlopen of a module: %s", dlerror());
    return CUDA_ERROR_INVALID_IMAGE;
  }
  m->init = reinterpret_cast<ModuleInit>(dlsym(m->library, "emu_module_init"));
  m->checked = dlsym(m->library, "emu_checked");
  if (!m->init) return CUDA_ERROR_INVALID_IMAGE;
  m->begin = m->end = static_cast<link_map*>(m->library)->l_addr;
  dl_iterate_phdr([](dl_phdr_info* info, size_t, void* p) {
    auto* m = static_cast<CUmod_st*>(p);
    if (info->dlpi_addr != m->begin) return 0;
    for (int h = 0; h < info->dlpi_phnum; ++h)
      if (info->dlpi_phdr[h].p_type == PT_LOAD)
        m->end = std::max(m->end, uintptr_t(m->begin + info->dlpi_phdr[h].p_vaddr + info->dlpi_phdr[h].p_memsz));
    return 1;
  }, m.get());
  *out = m.release();
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace emu

// ---- the driver's functions ----

API cuModuleLoadData(CUmodule* m, const void* image) {
  emu::report_call("cuModuleLoadData");
  return emu::load(m, static_cast<const char*>(image));
}

API cuModuleLoadDataEx(CUmodule* m, const void* image, unsigned, CUjit_option*, void**) {
  return emu::load(m, static_cast<const char*>(image));
}

API cuModuleUnload(CUmodule m) {
  const CUresult e = emu::drain_all();
  dlclose(m->library);
  close(m->file);
  delete m;
  return e;
}

API cuModuleGetFunction(CUfunction* f, CUmodule m, const char* name) {
  std::lock_guard<std::mutex> lock(m->mutex);
  auto& slot = m->functions[name];
  if (!slot) {
    const auto* kernel = static_cast<const emu::Kernel*>(dlsym(m->library, (std::string("emu_kernel_") + name).c_str()));
    if (!kernel) {
      m->functions.erase(name);
      emu::report("no kernel named %s in the module", name);
      return CUDA_ERROR_NOT_FOUND;
    }
    slot.reset(new CUfunc_st{m, kernel});
  }
  *f = slot.get();
  return CUDA_SUCCESS;
}

API cuModuleGetGlobal_v2(CUdeviceptr* p, size_t* n, CUmodule m, const char* name) {
  void* address = dlsym(m->library, name);
  Dl_info info;
  void* symbol = nullptr;
  if (!address || !dladdr1(address, &info, &symbol, RTLD_DL_SYMENT) || !symbol) return CUDA_ERROR_NOT_FOUND;
  if (p) *p = reinterpret_cast<uintptr_t>(address);
  if (n) *n = static_cast<ElfW(Sym)*>(symbol)->st_size;
  return CUDA_SUCCESS;
}
