// The runner of the calling thread, for signals.
#pragma once

namespace emu {

class Runner;
Runner* current_runner();
void set_current_runner(Runner*);

}  // namespace emu
