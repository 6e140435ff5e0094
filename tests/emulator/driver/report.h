// Messages and settings.
#pragma once

namespace emu {

// A number from the environment.
long setting(const char* name, long otherwise);

// One line to stderr.
__attribute__((format(printf, 1, 2))) void report(const char* format, ...);

// A line for a call that takes memory, gives it back, prepares work or waits, if EMULATOR_CALLS is set.
void report_call(const char* name);

}  // namespace emu
