// Around the scoring: find the lists, raise the thresholds, keep the k best.
#ifndef SIR_GPU_SELECT_CUH
#define SIR_GPU_SELECT_CUH

#include "block.cuh"

// One thread per (window, distinct row of the batch): binary search in the window's directory, once for all queries.
__device__ static void sir_resolve_thread(const SirTask &t)
{
    const u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (u64)t.num_windows * t.num_rows)
        return;
    const u32 window = t.window_order[t.first_window + (u32)(at / t.num_rows)], row = t.rows[at % t.num_rows];
    const u64 end = t.window_entry[window + 1] - t.first_entry;
    u64 low = t.window_entry[window] - t.first_entry, high = end, slot = 0;

    while (low < high) {
        const u64 middle = low + (high - low) / 2;
        if (t.entry_row[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < end && t.entry_row[low] == row) {
        const u64 first = low + (window - t.first_group_window); // each window before has one more start: its end
        const u32 start = t.entry_start[first];
        slot = (u64)(t.entry_start[first + 1] - start) << 32 | start;
    }
    t.slots[at] = slot;
}

// One block a query: the threshold rises to the lower edge of the bin of the k-th best score counted so far. At least k
// documents reach that edge, so no hit is lost; a tie with the k-th score stays at or above it.
__device__ static void sir_tighten_block(const SirTask &t)
{
    SIR_SHARED(shared);
    const u32 query = blockIdx.x;
    u32 *histogram = t.histogram + sir_table_place(query, SIR_BINS, 0);
    u32 bin, above;

    if (sir_find_rank(histogram, SIR_BINS, t.k, (u32 *)shared, &bin, &above) && threadIdx.x == 0) {
        const i32 edge = (i32)(bin << t.bin_shift[query]);
        if (edge > t.threshold[query])
            t.threshold[query] = edge;
    }
    if (t.clear) {
        __syncthreads();
        for (u32 i = threadIdx.x; i < SIR_BINS; i += blockDim.x)
            histogram[i] = 0;
    }
}

// Sorts `size` keys (a power of two) in shared memory, largest first: a bitonic network.
__device__ static void sir_sort_keys(u64 *keys, u32 size)
{
    for (u32 run = 2; run <= size; run *= 2)
        for (u32 stride = run / 2; stride > 0; stride /= 2) {
            __syncthreads();
            for (u32 i = threadIdx.x; i < size / 2; i += blockDim.x) {
                const u32 low = i / stride * stride * 2 + i % stride, high = low + stride;
                const bool descending = (low & run) == 0;
                const u64 a = keys[low], b = keys[high];
                if ((a < b) == descending) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
        }
    __syncthreads();
}

// One block a query, k <= 1,024: radix selection of the k-th largest key, eight bits a pass, then a sort of the k kept.
__device__ static void sir_select_block(const SirTask &t)
{
    SIR_SHARED(shared);
    u32 *scratch = (u32 *)shared, *digits = scratch + 40;
    u64 *kept = (u64 *)(digits + 256);
    const u32 query = blockIdx.x, stored = t.count[query] < t.capacity ? t.count[query] : t.capacity;
    const u64 *keys = t.candidates + sir_table_place(query, t.capacity, 0);
    u64 prefix = 0, mask = 0;
    u32 remaining = t.k, size = 1;

    for (int shift = 56; shift >= 0 && stored > t.k; shift -= 8) {
        for (u32 i = threadIdx.x; i < 256; i += blockDim.x)
            digits[i] = 0;
        __syncthreads();
        for (u32 i = threadIdx.x; i < stored; i += blockDim.x)
            if ((keys[i] & mask) == prefix)
                atomicAdd(digits + (u32)(keys[i] >> shift & 255), 1u);
        __syncthreads();
        u32 digit = 0, above = 0;
        sir_find_rank(digits, 256, remaining, scratch, &digit, &above);
        const u32 inside = digits[digit];
        __syncthreads(); // before the next pass clears the digits
        remaining -= above;
        prefix |= (u64)digit << shift;
        mask |= (u64)255 << shift;
        if (inside == remaining)
            break; // everything with this prefix or a larger one is kept: exactly k keys
    }
    while (size < t.k)
        size *= 2;
    for (u32 i = threadIdx.x; i < size; i += blockDim.x)
        kept[i] = 0;
    if (threadIdx.x == 0)
        scratch[0] = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < stored; i += blockDim.x)
        if ((keys[i] & mask) >= prefix)
            kept[atomicAdd(scratch, 1u)] = keys[i]; // distinct keys: min(k, stored) of them pass
    sir_sort_keys(kept, size);
    for (u32 i = threadIdx.x; i < t.k; i += blockDim.x)
        t.best[sir_table_place(query, t.k, i)] = kept[i];
}

#endif
