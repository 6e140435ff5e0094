// Switching from one stack to another.
#pragma once

extern "C" void emu_switch(void** save, void* to);

namespace emu {

// A stack that begins to run `entry` when it is switched to; gives what to switch to.
void* fresh_stack(void* top, void (*entry)());

}  // namespace emu
