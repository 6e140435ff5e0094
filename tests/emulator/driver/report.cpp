#include "report.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace emu {

long setting(const char* name, long otherwise) {
  const char* value = getenv(name);
  return value && *value ? atol(value) : otherwise;
}

void report(const char* format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  fprintf(stderr, "[emulator] %s\n", line);
}

void report_call(const char* name) {
  static const bool wanted = setting("EMULATOR_CALLS", 0);
  if (wanted) report("call %s", name);
}

}  // namespace emu
