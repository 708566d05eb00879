// The limits the engine is held against: shared-memory integer atomics by bank pattern, reads from L2 and from memory.
typedef unsigned int u32;
typedef unsigned long long u64;

struct MicroTask {
    const uint4 *source;
    u32 *sink;
    u64 words; // of 16 bytes
    u32 rounds;
    u32 pattern; // 0: one bank a lane, 1: random banks, 2: all lanes in one bank, different words, 3: one word
};

extern "C" __global__ void __launch_bounds__(512, 4) micro_atomics(const MicroTask task)
{
    extern __shared__ u32 scores[];
    const u32 words = 8192, lane = threadIdx.x % 32;
    for (u32 i = threadIdx.x; i < words; i += blockDim.x)
        scores[i] = 0;
    __syncthreads();
    u32 state = blockIdx.x * 7919u + threadIdx.x * 104729u + 1u;
    for (u32 i = 0; i < task.rounds; i++) {
        state = state * 1664525u + 1013904223u;
        const u32 row = state >> 24;
        u32 place = row * 32 + lane;
        if (task.pattern == 1)
            place = state >> 19;
        else if (task.pattern == 2)
            place = (row & 7) * 1024 + lane * 32;
        else if (task.pattern == 3)
            place = i & (words - 1);
        atomicAdd(scores + place, i);
    }
    __syncthreads();
    if (threadIdx.x == 0)
        task.sink[blockIdx.x] = scores[blockIdx.x % words];
}

extern "C" __global__ void __launch_bounds__(512, 4) micro_read(const MicroTask task)
{
    u32 sum = 0;
    for (u32 r = 0; r < task.rounds; r++)
        for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < task.words; i += (u64)gridDim.x * blockDim.x) {
            const uint4 v = __ldcg(task.source + i);
            sum += v.x ^ v.y ^ v.z ^ v.w;
        }
    if (sum == 0x12345678u)
        task.sink[threadIdx.x] = sum;
}
