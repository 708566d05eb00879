// Scoring one query over one window: integer adds into shared memory, which commute, so every run gives the same bits.
#ifndef SIR_GPU_SCORE_CUH
#define SIR_GPU_SCORE_CUH

#include "block.cuh"

// Shared memory of a scoring block: the scores of the window, then one record per list of the current term chunk.
struct SirLists {
    u32 *first_tile; // (threads + 1) running count of tiles
    u32 *start;      // (threads) relative to the window
    u32 *length;     // (threads) padding counted
    i32 *weight;     // (threads)
    u32 *scratch;    // (36)
};

__device__ static __forceinline__ SirLists sir_lists(unsigned char *after_scores)
{
    SirLists lists;
    lists.scratch = (u32 *)after_scores;
    lists.first_tile = lists.scratch + 36;
    lists.start = lists.first_tile + blockDim.x + 1;
    lists.length = lists.start + blockDim.x;
    lists.weight = (i32 *)(lists.length + blockDim.x);
    return lists;
}

// GROUP postings of one lane: one 8-byte and one 4-byte load for groups of 4, which start at multiples of 4.
template <int GROUP>
__device__ static __forceinline__ void sir_add_group(const SirTask &t, u64 place, i32 weight, i32 *scores)
{
    if (GROUP == 4) {
        const ushort4 local = *(const ushort4 *)(t.local + place);
        const uchar4 impact = *(const uchar4 *)(t.impact + place);
        // In each of the four adds the 32 lanes meet postings of different banks as far as the list allows: the
        // builder stores tiles of 128 transposed for this.
        atomicAdd(scores + local.x, weight * impact.x);
        atomicAdd(scores + local.y, weight * impact.y);
        atomicAdd(scores + local.z, weight * impact.z);
        atomicAdd(scores + local.w, weight * impact.w);
    } else {
        atomicAdd(scores + t.local[place], weight * t.impact[place]);
    }
}

// Adds every list of the query that the window, at `position` of the launch, has. A query of any length goes through in
// chunks of blockDim.x terms.
template <int GROUP>
__device__ static void sir_add_lists(const SirTask &t, u32 query, u32 position, u32 window, i32 *scores,
                                     const SirLists &lists)
{
    const u32 tile = SIR_WARP * GROUP, lane = threadIdx.x % SIR_WARP, warps = blockDim.x / SIR_WARP;
    const u32 end = t.query_start[query + 1];
    const u64 base = t.window_posting[window] - t.first_posting;

    for (u32 chunk = t.query_start[query]; chunk < end; chunk += blockDim.x) {
        const u32 terms = end - chunk < blockDim.x ? end - chunk : blockDim.x, i = threadIdx.x;
        u32 length = 0, total;
        if (i < terms) {
            const u64 slot = t.slots[sir_table_place(position, t.num_rows, t.query_slot[chunk + i])];
            length = (u32)(slot >> 32);
            lists.start[i] = (u32)slot;
            lists.length[i] = length;
            lists.weight[i] = t.query_weight[chunk + i];
        }
        const u32 before = sir_block_scan((length + tile - 1) / tile, lists.scratch, &total);
        lists.first_tile[i] = before;
        if (i == 0)
            lists.first_tile[blockDim.x] = total;
        __syncthreads();
        u32 list = 0; // a warp's tiles ascend, so the list they belong to only moves on
        for (u32 at = threadIdx.x / SIR_WARP; at < total; at += warps) {
            while (at >= lists.first_tile[list + 1])
                list++;
            const u32 inside = (at - lists.first_tile[list]) * tile + lane * GROUP;
            if (inside < lists.length[list])
                sir_add_group<GROUP>(t, sir_posting_place(base, lists.start[list], inside), lists.weight[list], scores);
        }
        __syncthreads(); // before the next chunk overwrites the lists, and before anyone reads the scores
    }
}

__device__ static __forceinline__ void sir_clear_scores(i32 *scores, u32 docs)
{
    const int4 zero = {0, 0, 0, 0};
    for (u32 i = threadIdx.x; i < docs / 4; i += blockDim.x)
        ((int4 *)scores)[i] = zero;
    __syncthreads();
}

__device__ static __forceinline__ bool sir_is_live(const SirTask &t, u32 doc)
{
    return !t.live || (t.live[doc / 32] >> (doc % 32) & 1);
}

// Appends the scores >= threshold to the query's candidates: one atomic a warp, sort keys, no order. Every candidate is
// counted in the histogram too, stored or not, so that the threshold found there is safe after an overflow.
__device__ static __forceinline__ void sir_emit(const SirTask &t, u32 query, u32 doc, i32 score, bool hit)
{
    const u32 lane = threadIdx.x % SIR_WARP;
    if (hit)
        hit = sir_is_live(t, doc);
    const u32 hits = __ballot_sync(SIR_ALL_LANES, hit);
    if (!hits)
        return;
    const u32 leader = (u32)__ffs((int)hits) - 1;
    u32 at = 0;
    if (lane == leader)
        at = atomicAdd(t.count + query, (u32)__popc(hits));
    at = __shfl_sync(SIR_ALL_LANES, at, leader) + (u32)__popc(hits & ((1u << lane) - 1));
    if (hit) {
        atomicAdd(t.histogram + sir_table_place(query, SIR_BINS, (u32)score >> t.bin_shift[query]), 1u);
        if (at < t.capacity)
            t.candidates[sir_table_place(query, t.capacity, at)] =
                sir_sort_key(score, t.ordinals ? t.ordinals[doc] : doc);
    }
}

__device__ static void sir_emit_window(const SirTask &t, u32 query, u32 window, const i32 *scores)
{
    const u32 docs = 1u << t.window_shift, first_doc = window << t.window_shift;
    const i32 threshold = t.threshold[query];

    for (u32 first = 0; first < docs; first += 4 * blockDim.x) { // the same trips for every lane of a warp
        const u32 local = first + 4 * threadIdx.x;
        int4 four = {0, 0, 0, 0};
        if (local < docs)
            four = *(const int4 *)(scores + local);
        const bool any = four.x >= threshold || four.y >= threshold || four.z >= threshold || four.w >= threshold;
        if (!__any_sync(SIR_ALL_LANES, any))
            continue;
        sir_emit(t, query, first_doc + local, four.x, four.x >= threshold);
        sir_emit(t, query, first_doc + local + 1, four.y, four.y >= threshold);
        sir_emit(t, query, first_doc + local + 2, four.z, four.z >= threshold);
        sir_emit(t, query, first_doc + local + 3, four.w, four.w >= threshold);
    }
}

// Counts the scores >= threshold in the query's histogram and keeps no candidate: how a sample of windows primes the
// threshold. bins: SIR_BINS words of shared memory.
__device__ static void sir_sample_window(const SirTask &t, u32 query, u32 window, const i32 *scores, u32 *bins)
{
    const u32 docs = 1u << t.window_shift, shift = t.bin_shift[query];
    const i32 threshold = t.threshold[query];

    for (u32 i = threadIdx.x; i < SIR_BINS; i += blockDim.x)
        bins[i] = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < docs; i += blockDim.x)
        if (scores[i] >= threshold && sir_is_live(t, (window << t.window_shift) + i))
            atomicAdd(bins + ((u32)scores[i] >> shift), 1u);
    __syncthreads();
    for (u32 i = threadIdx.x; i < SIR_BINS; i += blockDim.x)
        if (bins[i])
            atomicAdd(t.histogram + sir_table_place(query, SIR_BINS, i), bins[i]);
}

// All scores of the window, 0 for documents that may not be found.
__device__ static void sir_store_window(const SirTask &t, u32 query, u32 window, const i32 *scores)
{
    const u32 docs = 1u << t.window_shift, first_doc = window << t.window_shift;

    for (u32 i = threadIdx.x; i < docs && first_doc + i < t.num_docs; i += blockDim.x)
        t.scores[sir_table_place(query, t.num_docs, first_doc + i)] = sir_is_live(t, first_doc + i) ? scores[i] : 0;
}

enum SirSink { SIR_EMIT, SIR_SAMPLE, SIR_STORE };

// What becomes of the finished scores of a window. bins: SIR_BINS words, used by samples alone.
template <int SINK>
__device__ static __forceinline__ void sir_finish(const SirTask &t, u32 query, u32 window, const i32 *scores, u32 *bins)
{
    if (SINK == SIR_EMIT)
        sir_emit_window(t, query, window, scores);
    else if (SINK == SIR_SAMPLE)
        sir_sample_window(t, query, window, scores, bins);
    else
        sir_store_window(t, query, window, scores);
}

// Block b scores query b mod queries over window b div queries: neighbours in the grid share a window, so that a batch
// reads its postings from L2.
template <int GROUP, int SINK>
__device__ static void sir_score_block(const SirTask &t)
{
    SIR_SHARED(shared);
    const u32 docs = 1u << t.window_shift, position = blockIdx.x / t.num_queries, query = blockIdx.x % t.num_queries;
    const u32 window = t.window_order[t.first_window + position];
    i32 *scores = (i32 *)shared;
    const SirLists lists = sir_lists(shared + docs * sizeof(i32));

    sir_clear_scores(scores, docs);
    sir_add_lists<GROUP>(t, query, position, window, scores, lists);
    sir_finish<SINK>(t, query, window, scores, (u32 *)(lists.weight + blockDim.x));
}

#endif
