// cp.async: a copy is done either at once or when it is waited for, by a coin.
#include <cstring>

#include "runner.h"

namespace emu {

void Runner::cp_async(Thread* thread, void* to, const void* from, unsigned bytes, unsigned valid, Where where) {
  Runner* r = of(thread);
  const uintptr_t addresses = reinterpret_cast<uintptr_t>(to) | (valid ? reinterpret_cast<uintptr_t>(from) : 0);
  if (addresses % bytes)
    fail(thread, CUDA_ERROR_MISALIGNED_ADDRESS, "cp.async: an address is not aligned to the size", where);
  const Copy c{to, from, bytes, valid};
  r->used_copies_ = true;
  if (!r->random_order_ || r->random() & 1) r->copy(thread, c);
  else r->copies_[r->current_].open.push_back(c);
}

void Runner::cp_commit(Thread* thread) {
  Runner* r = of(thread);
  Copies& c = r->copies_[r->current_];
  c.groups.push_back(std::move(c.open));
  c.open.clear();
}

void Runner::cp_wait(Thread* thread, int keep) {
  Runner* r = of(thread);
  auto& groups = r->copies_[r->current_].groups;
  for (; int(groups.size()) > keep; groups.pop_front())
    for (const Copy& c : groups.front()) r->copy(thread, c);
}

void Runner::copy(Thread* thread, const Copy& c) {
  if (launch().function->module->checked) {
    if (c.valid) access(thread, c.from, c.valid, Access::READ, nullptr);
    access(thread, c.to, c.bytes, Access::WRITE, nullptr);
  }
  memcpy(c.to, c.from, c.valid);
  memset(static_cast<char*>(c.to) + c.valid, 0, c.bytes - c.valid);
}

}  // namespace emu
