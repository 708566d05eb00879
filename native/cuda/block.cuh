// Block-wide primitives. Every thread of the block calls them; blockDim.x is a multiple of 32.
#ifndef SIR_GPU_BLOCK_CUH
#define SIR_GPU_BLOCK_CUH

#include "task.h"

// Sum of `value` over the threads before this one; *total is the sum over all. scratch: 33 words of shared memory, free
// again when the function returns.
__device__ static __forceinline__ u32 sir_block_scan(u32 value, u32 *scratch, u32 *total)
{
    const u32 lane = threadIdx.x % SIR_WARP, warp = threadIdx.x / SIR_WARP, warps = blockDim.x / SIR_WARP;
    u32 inclusive = value;

    for (u32 distance = 1; distance < SIR_WARP; distance *= 2) {
        const u32 below = __shfl_up_sync(SIR_ALL_LANES, inclusive, distance);
        if (lane >= distance)
            inclusive += below;
    }
    if (lane == SIR_WARP - 1)
        scratch[warp] = inclusive;
    __syncthreads();
    if (warp == 0) {
        const u32 own = lane < warps ? scratch[lane] : 0;
        u32 sum = own;
        for (u32 distance = 1; distance < SIR_WARP; distance *= 2) {
            const u32 below = __shfl_up_sync(SIR_ALL_LANES, sum, distance);
            if (lane >= distance)
                sum += below;
        }
        scratch[lane] = sum - own; // every lane has read its word before the shuffles
        if (lane == SIR_WARP - 1)
            scratch[SIR_WARP] = sum;
    }
    __syncthreads();
    const u32 before = scratch[warp] + inclusive - value;
    *total = scratch[SIR_WARP];
    __syncthreads();
    return before;
}

// The bin that holds the rank-th largest element (1 = the largest) of a histogram, and how many lie in bins above it.
// False when the histogram holds fewer. bins is a multiple of blockDim.x or below it. scratch: 36 words.
__device__ static bool sir_find_rank(const u32 *histogram, u32 bins, u32 rank, u32 *scratch, u32 *bin, u32 *above)
{
    const u32 each = (bins + blockDim.x - 1) / blockDim.x, first = threadIdx.x * each; // counted from the top
    u32 sum = 0, total;

    for (u32 i = first; i < first + each && i < bins; i++)
        sum += histogram[bins - 1 - i];
    u32 before = sir_block_scan(sum, scratch, &total);
    if (total < rank)
        return false; // the same for every thread
    if (before < rank && rank <= before + sum) {
        u32 i = first;
        while (before + histogram[bins - 1 - i] < rank)
            before += histogram[bins - 1 - i++];
        scratch[34] = bins - 1 - i;
        scratch[35] = before;
    }
    __syncthreads();
    *bin = scratch[34];
    *above = scratch[35];
    __syncthreads();
    return true;
}

#endif
