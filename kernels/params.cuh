// The structs that kernels take, as src/backend/params.rs and philox.rs have them. The build compares the two.
#pragma once
#include <stddef.h>

struct Key {
  unsigned long long seed;
  unsigned long long stream;
};
