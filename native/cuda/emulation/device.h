// The part of CUDA the kernels use, for an ordinary C++ compiler: the kernel sources run unchanged on the CPU, thread by
// thread, block by block. Included by task.h when no CUDA compiler is at work. runtime.cpp schedules the threads.
#ifndef SIR_EMULATION_DEVICE_H
#define SIR_EMULATION_DEVICE_H

#include <stdint.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct SirDim3 {
    unsigned x, y, z;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) ushort4 {
    unsigned short x, y, z, w;
};
struct alignas(4) uchar4 {
    unsigned char x, y, z, w;
};

extern SirDim3 blockIdx, blockDim, gridDim;
const SirDim3 &sir_current_thread();
#define threadIdx (sir_current_thread())

unsigned char *sir_shared_memory();
#define SIR_SHARED(name) unsigned char *name = sir_shared_memory()

// Collectives stop the thread until its block or warp is complete; the line tells two of them apart.
void sir_block_barrier(int line);
const uint64_t *sir_warp_exchange(uint64_t value, int line); // the 32 lanes' values
#define __syncthreads() sir_block_barrier(__LINE__)

static inline unsigned sir_lane()
{
    return threadIdx.x % 32;
}

static inline unsigned sir_ballot(bool flag, int line)
{
    const uint64_t *all = sir_warp_exchange(flag, line);
    unsigned mask = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        mask |= (unsigned)all[lane] << lane;
    return mask;
}

static inline unsigned sir_shuffle_up(unsigned value, unsigned distance, int line)
{
    const uint64_t *all = sir_warp_exchange(value, line);
    return (unsigned)all[sir_lane() < distance ? sir_lane() : sir_lane() - distance];
}

#define __ballot_sync(mask, flag) sir_ballot(flag, __LINE__)
#define __any_sync(mask, flag) (sir_ballot(flag, __LINE__) != 0)
#define __shfl_sync(mask, value, lane) ((unsigned)sir_warp_exchange(value, __LINE__)[lane])
#define __shfl_up_sync(mask, value, distance) sir_shuffle_up(value, distance, __LINE__)

#define __popc(x) __builtin_popcount(x)
#define __ffs(x) __builtin_ffs(x)

// mma.m16n8k32 on u8: gathers the fragments of all lanes and takes this lane's four sums from the definition.
static inline void sir_multiply_tile(int sums[4], const unsigned a[4], const unsigned b[2])
{
    unsigned char left[16][32], right[32][8];
    const unsigned words[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    for (int w = 0; w < 6; w++) {
        const uint64_t *all = sir_warp_exchange(words[w], __LINE__ + 1000 * w);
        for (int lane = 0; lane < 32; lane++)
            for (int byte = 0; byte < 4; byte++) {
                const int group = lane / 4, k = lane % 4 * 4 + byte;
                const auto value = (unsigned char)(all[lane] >> 8 * byte);
                if (w < 4)
                    left[group + 8 * (w % 2)][k + 16 * (w / 2)] = value;
                else
                    right[k + 16 * (w - 4)][group] = value;
            }
    }
    const int group = (int)sir_lane() / 4, part = (int)sir_lane() % 4;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 32; k++)
            sums[i] += left[group + 8 * (i / 2)][k] * right[k][2 * part + i % 2];
}

template <typename T>
static inline T atomicAdd(T *place, T value)
{
    const T before = *place; // threads take turns, so this is atomic
    *place = before + value;
    return before;
}

#endif
