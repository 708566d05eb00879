// Runs blocks on the CPU: one fiber a CUDA thread, switched at barriers and warp collectives.
//
// What it finds beyond wrong answers: a barrier that only some threads reach, a warp collective with missing lanes, reads
// of uninitialised shared or device memory (both are poisoned), accesses outside shared memory (a guard page follows it),
// and, by running the threads forwards, backwards and shuffled, results that depend on the order of threads between two
// barriers, which is what a missing barrier looks like. Atomics are trivially atomic here, so a missing atomic shows only
// under compute-sanitizer on a device.
#include "runtime.h"
#include "../task.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

SirDim3 blockIdx, blockDim, gridDim;

namespace {

constexpr size_t STACK = 64 * 1024;
enum State { READY, AT_BARRIER, AT_COLLECTIVE, DONE };

struct Thread {
    ucontext_t context;
    SirDim3 index;
    State state;
    int line;
    uint64_t value;
};

std::vector<Thread> threads;
std::vector<unsigned char> stacks;
std::vector<uint64_t> exchanged; // what the lanes of each warp handed over in its last collective
ucontext_t scheduler;
Thread *current;
SirKernel kernel;
const void *argument;
unsigned char *shared_memory;
uint32_t schedule_seed;

[[noreturn]] void fail(const char *what)
{
    std::fprintf(stderr, "emulated device: %s\n", what);
    std::abort();
}

void wait(State state, int line)
{
    current->state = state;
    current->line = line;
    swapcontext(&current->context, &scheduler);
}

void thread_main()
{
    kernel(argument);
    current->state = DONE;
    swapcontext(&current->context, &scheduler);
}

// Ready again, once all `count` threads from `first` on wait in the same place.
bool release(size_t first, size_t count, State state)
{
    for (size_t i = first; i < first + count; i++)
        if (threads[i].state != state)
            return false;
    for (size_t i = first; i < first + count; i++) {
        if (threads[i].line != threads[first].line)
            fail("threads wait at different barriers or collectives");
        if (state == AT_COLLECTIVE)
            exchanged[i] = threads[i].value;
        threads[i].state = READY;
    }
    return true;
}

void run_block(std::mt19937 &random)
{
    const size_t count = threads.size();
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t{0});
    if (schedule_seed == 1)
        std::reverse(order.begin(), order.end());
    for (size_t i = 0; i < count; i++) {
        Thread &t = threads[i];
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = stacks.data() + i * STACK;
        t.context.uc_stack.ss_size = STACK;
        t.context.uc_link = &scheduler;
        t.index = {(unsigned)i, 0, 0};
        t.state = READY;
        makecontext(&t.context, thread_main, 0);
    }
    for (;;) {
        if (schedule_seed > 1)
            std::shuffle(order.begin(), order.end(), random);
        for (size_t i : order)
            if (threads[i].state == READY) {
                current = &threads[i];
                swapcontext(&scheduler, &current->context);
            }
        bool progress = false;
        for (size_t warp = 0; warp < count; warp += 32)
            progress |= release(warp, 32, AT_COLLECTIVE);
        progress |= release(0, count, AT_BARRIER);
        if (progress)
            continue;
        if (std::all_of(threads.begin(), threads.end(), [](const Thread &t) { return t.state == DONE; }))
            return;
        fail("some threads left or wait elsewhere while others wait at a barrier");
    }
}

} // namespace

const SirDim3 &sir_current_thread()
{
    return current->index;
}

unsigned char *sir_shared_memory()
{
    return shared_memory;
}

void sir_block_barrier(int line)
{
    wait(AT_BARRIER, line);
}

const uint64_t *sir_warp_exchange(uint64_t value, int line)
{
    current->value = value;
    wait(AT_COLLECTIVE, line);
    return exchanged.data() + (size_t)(current->index.x / 32) * 32;
}

// 0: threads run in order, 1: in reverse, more: shuffled with this seed. Blocks too.
extern "C" void sir_emulation_schedule(uint32_t seed)
{
    schedule_seed = seed;
}

void *sir_guarded_memory(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), rounded = (bytes + 15) / 16 * 16;
    const size_t pages = (rounded + page - 1) / page + 1;
    auto *base = (unsigned char *)mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return nullptr;
    mprotect(base + (pages - 1) * page, page, PROT_NONE);
    unsigned char *start = base + (pages - 1) * page - rounded;
    std::memset(start, 0xA5, rounded);
    return start;
}

void sir_release_guarded(void *memory, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), rounded = (bytes + 15) / 16 * 16;
    const size_t pages = (rounded + page - 1) / page + 1;
    munmap((unsigned char *)memory + rounded - (pages - 1) * page, pages * page);
}

void sir_emulate(SirKernel function, const void *task, SirLaunch launch)
{
    if (launch.threads % 32)
        fail("a block must be whole warps");
    kernel = function;
    argument = task;
    threads.resize(launch.threads);
    exchanged.assign(launch.threads, 0);
    stacks.resize(launch.threads * STACK);
    blockDim = {launch.threads, 1, 1};
    gridDim = {launch.blocks, 1, 1};
    shared_memory = (unsigned char *)sir_guarded_memory(launch.shared_bytes);
    std::mt19937 random(schedule_seed);
    std::vector<unsigned> blocks(launch.blocks);
    std::iota(blocks.begin(), blocks.end(), 0u);
    if (schedule_seed == 1)
        std::reverse(blocks.begin(), blocks.end());
    else if (schedule_seed > 1)
        std::shuffle(blocks.begin(), blocks.end(), random);
    for (unsigned block : blocks) {
        blockIdx = {block, 0, 0};
        std::memset(shared_memory, 0xA5, launch.shared_bytes);
        run_block(random);
    }
    sir_release_guarded(shared_memory, launch.shared_bytes);
}
