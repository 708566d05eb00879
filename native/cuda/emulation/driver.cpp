// The functions of libcuda that sparseir/search/gpu/driver.py calls, over the emulated device: tests load this library in
// place of the driver, so that launches, arguments, offsets and kernels all run where there is no GPU.
#include "../kernels.cu"
#include "runtime.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

template <void (*KERNEL)(const SirTask)>
void call(const void *task)
{
    KERNEL(*(const SirTask *)task);
}

#define NAMED(kernel) {#kernel, call<kernel>}
const std::map<std::string, SirKernel> KERNELS = {
    NAMED(sir_emit_1),          NAMED(sir_emit_4),          NAMED(sir_sample_1),       NAMED(sir_sample_4),
    NAMED(sir_store_1),         NAMED(sir_store_4),         NAMED(sir_hybrid_emit_1),  NAMED(sir_hybrid_emit_4),
    NAMED(sir_hybrid_sample_1), NAMED(sir_hybrid_sample_4), NAMED(sir_hybrid_store_1), NAMED(sir_hybrid_store_4),
    NAMED(sir_resolve),         NAMED(sir_tighten),         NAMED(sir_select),
};

std::map<u64, size_t> allocations;
int nothing;

// Copies of a stream wait here until somebody waits for an event behind them: the latest moment a device may choose, so
// that a launch that does not wait reads what was there before.
struct Copy {
    u64 to;
    const void *from;
    size_t bytes;
};
std::vector<Copy> copies;
size_t copied;
struct Event {
    size_t mark; // copies issued when it was recorded
};
std::map<void *, size_t> pinned;
bool skip_launches;
int contexts; // pushed and not popped

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

// Whether [place, place + bytes) lies in one allocation.
bool inside(u64 place, size_t bytes)
{
    auto next = allocations.upper_bound(place);
    if (next == allocations.begin())
        return bytes == 0;
    --next;
    return place + bytes <= next->first + next->second;
}

} // namespace

extern "C" {

int cuInit(unsigned) { return SUCCESS; }
int cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return SUCCESS; }
int cuDeviceGetAttribute(int *value, int attribute, int)
{
    // 75, 76: compute capability; 16: multiprocessors; 97: shared memory a block may opt in to
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : 232448;
    return SUCCESS;
}
int cuDeviceGetName(char *name, int length, int) { std::strncpy(name, "emulated device", (size_t)length); return SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int) { *context = &nothing; return SUCCESS; }
int cuCtxSetCurrent(void *) { return SUCCESS; }
int cuCtxPushCurrent_v2(void *) { contexts++; return SUCCESS; }
int cuCtxPopCurrent_v2(void **) { return contexts-- > 0 ? SUCCESS : INVALID_VALUE; }
int cuCtxSynchronize(void) { return SUCCESS; }
int cuModuleLoadData(void **module, const void *) { *module = &nothing; return SUCCESS; }
int cuModuleGetFunction(void **function, void *, const char *name)
{
    auto found = KERNELS.find(name);
    if (found == KERNELS.end())
        return NOT_FOUND;
    *function = (void *)found->second;
    return SUCCESS;
}
int cuFuncSetAttribute(void *, int, int) { return SUCCESS; }
int cuMemAlloc_v2(u64 *place, size_t bytes)
{
    if (bytes == 0)
        return INVALID_VALUE;
    void *memory = sir_guarded_memory(bytes);
    if (!memory)
        return OUT_OF_MEMORY;
    *place = (u64)memory;
    allocations[*place] = bytes;
    return SUCCESS;
}
int cuMemFree_v2(u64 place)
{
    auto found = allocations.find(place);
    if (found == allocations.end())
        return INVALID_VALUE;
    sir_release_guarded((void *)place, found->second);
    allocations.erase(found);
    return SUCCESS;
}
int cuMemcpyHtoD_v2(u64 to, const void *from, size_t bytes)
{
    if (!inside(to, bytes))
        return INVALID_VALUE;
    std::memcpy((void *)to, from, bytes);
    return SUCCESS;
}
int cuMemcpyDtoH_v2(void *to, u64 from, size_t bytes)
{
    if (!inside(from, bytes))
        return INVALID_VALUE;
    std::memcpy(to, (const void *)from, bytes);
    return SUCCESS;
}
int cuMemsetD8_v2(u64 to, unsigned char value, size_t bytes)
{
    if (!inside(to, bytes))
        return INVALID_VALUE;
    std::memset((void *)to, value, bytes);
    return SUCCESS;
}
int cuLaunchKernel(void *function, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned,
                   unsigned shared_bytes, void *, void **parameters, void **)
{
    if (blocks == 0 || threads == 0 || threads > 1024 || shared_bytes > 232448)
        return INVALID_VALUE;
    if (!skip_launches)
        sir_emulate((SirKernel)function, parameters[0], {blocks, threads, shared_bytes});
    return SUCCESS;
}
int cuEventCreate(void **event, unsigned) { *event = new Event{0}; return SUCCESS; }
int cuEventDestroy_v2(void *event) { delete (Event *)event; return SUCCESS; }
int cuEventRecord(void *event, void *stream)
{
    ((Event *)event)->mark = stream ? copies.size() : 0;
    return SUCCESS;
}
int cuStreamCreate(void **stream, unsigned) { *stream = &nothing; return SUCCESS; }
int cuStreamDestroy_v2(void *) { return SUCCESS; }
int cuStreamWaitEvent(void *stream, void *event, unsigned)
{
    if (stream)
        return SUCCESS; // launches end before they return here, so what a copy may overwrite is always read already
    for (; copied < ((Event *)event)->mark; copied++)
        std::memcpy((void *)copies[copied].to, copies[copied].from, copies[copied].bytes);
    return SUCCESS;
}
int cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t bytes, void *stream)
{
    if (!inside(to, bytes) || !stream)
        return INVALID_VALUE;
    copies.push_back({to, from, bytes});
    return SUCCESS;
}
int cuMemAllocHost_v2(void **place, size_t bytes)
{
    *place = sir_guarded_memory(bytes);
    pinned[*place] = bytes;
    return *place ? SUCCESS : OUT_OF_MEMORY;
}
int cuMemFreeHost(void *place)
{
    auto found = pinned.find(place);
    if (found == pinned.end())
        return INVALID_VALUE;
    sir_release_guarded(place, found->second);
    pinned.erase(found);
    return SUCCESS;
}
int cuEventSynchronize(void *) { return SUCCESS; }
int cuEventElapsedTime(float *milliseconds, void *, void *) { *milliseconds = 0; return SUCCESS; }
int cuGetErrorString(int, const char **text) { *text = "refused by the emulated device"; return SUCCESS; }

// 1: kernels do nothing, so that what is left is the host's own time (bench/gpu/host.py).
void sir_emulation_skip_launches(int skip) { skip_launches = skip != 0; }

int sir_emulation_contexts(void) { return contexts; }

// For the tests of index arithmetic: the functions the kernels use.
u64 sir_emulation_posting_place(u64 base, u32 start, u32 inside) { return sir_posting_place(base, start, inside); }
u64 sir_emulation_table_place(u32 row, u64 columns, u64 column) { return sir_table_place(row, columns, column); }
u64 sir_emulation_window_place(u32 window, u32 first, u64 each) { return sir_window_place(window, first, each); }
u64 sir_emulation_sort_key(i32 score, u32 ordinal) { return sir_sort_key(score, ordinal); }
size_t sir_emulation_task_bytes(void) { return sizeof(SirTask); }

} // extern "C"
