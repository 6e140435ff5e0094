// Messages and settings.
#pragma once

namespace emu {

// A number from the environment.
long setting(const char* name, long otherwise);

// One line to stderr.
__attribute__((format(printf, 1, 2))) void report(const char* format, ...);

}  // namespace emu
