// The dense head: the most frequent terms as a byte matrix, multiplied on tensor cores for eight queries at once; every
// other term goes through its lists on top. All integers, so the sum is the same as without a head.
#ifndef SIR_GPU_HYBRID_CUH
#define SIR_GPU_HYBRID_CUH

#include "score.cuh"

static const u32 SIR_HEAD_QUERIES = 8; // columns of one tensor-core tile
static const u32 SIR_ROW_PAD = 4;      // words between the scores of two queries: a tile then stores to 32 distinct banks

#if defined(__CUDACC__)
// sums += a (16 documents x 32 terms, u8) * b (32 terms x 8 queries, u8), fragments as in the PTX manual.
__device__ static __forceinline__ void sir_multiply_tile(i32 sums[4], const u32 a[4], const u32 b[2])
{
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// Head scores of one window for the queries first_query .. +8: fills every score, so nothing is cleared before. A query
// weight has 12 bits (more only fits fewer terms): two byte planes, low + 256 * high.
__device__ static void sir_head_scores(const SirTask &t, u32 first_query, u32 window, i32 *scores)
{
    const u32 docs = 1u << t.window_shift, stride = docs + SIR_ROW_PAD, terms = t.head_terms;
    const u32 lane = threadIdx.x % SIR_WARP, row = lane / 4, part = lane % 4, warps = blockDim.x / SIR_WARP;
    const u8 *head = t.head + sir_window_place(window, t.first_group_window, (u64)docs * terms);
    const u8 *low = t.head_low + sir_table_place(first_query + row, terms, 4 * part);
    const u8 *high = t.head_high + sir_table_place(first_query + row, terms, 4 * part);

    for (u32 tile = threadIdx.x / SIR_WARP; tile < docs / 16; tile += warps) {
        const u8 *upper = head + sir_table_place(16 * tile + row, terms, 4 * part);
        const u8 *lower = upper + 8 * (u64)terms;
        i32 low_sums[4] = {0, 0, 0, 0}, high_sums[4] = {0, 0, 0, 0};
        for (u32 k = 0; k < terms; k += 32) {
            const u32 a[4] = {*(const u32 *)(upper + k), *(const u32 *)(lower + k), *(const u32 *)(upper + k + 16),
                              *(const u32 *)(lower + k + 16)};
            const u32 b_low[2] = {*(const u32 *)(low + k), *(const u32 *)(low + k + 16)};
            const u32 b_high[2] = {*(const u32 *)(high + k), *(const u32 *)(high + k + 16)};
            sir_multiply_tile(low_sums, a, b_low);
            sir_multiply_tile(high_sums, a, b_high);
        }
        for (u32 i = 0; i < 4; i++) {
            const u32 query = 2 * part + i % 2, doc = 16 * tile + row + 8 * (i / 2);
            scores[query * stride + doc] = low_sums[i] + high_sums[i] * 256;
        }
    }
    __syncthreads();
}

// Block b scores eight queries over one window.
template <int GROUP, int SINK>
__device__ static void sir_hybrid_block(const SirTask &t)
{
    SIR_SHARED(shared);
    const u32 stride = (1u << t.window_shift) + SIR_ROW_PAD;
    const u32 parties = (t.num_queries + SIR_HEAD_QUERIES - 1) / SIR_HEAD_QUERIES, position = blockIdx.x / parties;
    const u32 window = t.window_order[t.first_window + position], first = blockIdx.x % parties * SIR_HEAD_QUERIES;
    i32 *scores = (i32 *)shared;
    const SirLists lists = sir_lists(shared + SIR_HEAD_QUERIES * stride * sizeof(i32));

    sir_head_scores(t, first, window, scores);
    for (u32 q = 0; q < SIR_HEAD_QUERIES && first + q < t.num_queries; q++) {
        sir_add_lists<GROUP>(t, first + q, position, window, scores + q * stride, lists);
        sir_finish<SINK>(t, first + q, window, scores + q * stride, (u32 *)(lists.weight + blockDim.x));
        __syncthreads(); // the sample's bins and the lists are used again by the next query
    }
}

#endif
