// What the emulated driver needs from the emulated device.
#ifndef SIR_EMULATION_RUNTIME_H
#define SIR_EMULATION_RUNTIME_H

#include <stddef.h>

typedef void (*SirKernel)(const void *task);

struct SirLaunch {
    unsigned blocks, threads;
    size_t shared_bytes;
};

// Runs every block of a launch to its end.
void sir_emulate(SirKernel kernel, const void *task, SirLaunch launch);

// Poisoned memory that ends (to 16 bytes) at a page nobody may touch.
void *sir_guarded_memory(size_t bytes);
void sir_release_guarded(void *memory, size_t bytes);

#endif
