// Barriers of a block, and fences.
#pragma once
#include "language.h"

inline void __syncthreads(EMU_WHERE) { emu::api.barrier(emu::self(), 0, 0, where); }
inline int __syncthreads_count(int p, EMU_WHERE) {
  return emu::api.barrier_vote(emu::self(), p, emu::Vote::COUNT, where);
}
inline int __syncthreads_and(int p, EMU_WHERE) { return emu::api.barrier_vote(emu::self(), p, emu::Vote::AND, where); }
inline int __syncthreads_or(int p, EMU_WHERE) { return emu::api.barrier_vote(emu::self(), p, emu::Vote::OR, where); }

inline void __threadfence() {
  emu::api.fence(emu::self());
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
inline void __threadfence_block() { __threadfence(); }
