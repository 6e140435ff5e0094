// CUDA C++ for the host's compiler: as much of it as kernels/*.cu use. gpu.cuh includes it when the compiler is not nvcc.
#pragma once
#include "language.h"
#include "barriers.h"
#include "warp.h"
#include "atomics.h"
#include "arithmetic.h"
#include "bfloat16.h"
#include "ptx.h"
#include "module.h"
