// What every kernel receives, and the arithmetic of places. All counts of postings and scores are 64-bit: a collection
// may hold more than 2^31 postings, and a batch of 243 queries over 8.8 million documents passes 2^31 scores.
#ifndef SIR_GPU_TASK_H
#define SIR_GPU_TASK_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;

#if defined(__CUDACC__)
#define SIR_BOTH __host__ __device__ __forceinline__
#define SIR_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#else
#include "emulation/device.h"
#define SIR_BOTH static inline
#endif

static const u32 SIR_WARP = 32;
static const u32 SIR_ALL_LANES = 0xFFFFFFFFu;
static const u32 SIR_BINS = 2048; // of a query's score histogram

// One launch. Mirrored by `Task` in sparseir/search/gpu/cuda_task.py, field by field.
struct SirTask {
    // the layout of one segment
    const u16 *local;          // document inside its window, bank-ordered
    const u8 *impact;          // 0 where padded
    const u32 *entry_row;      // directory: term row of each (window, term) pair present, ascending in its window
    const u32 *entry_start;    // its first posting, relative to the window; one more per window for the end
    const u64 *window_entry;   // (windows + 1)
    const u64 *window_posting; // (windows + 1)
    const u32 *ordinals;       // (docs) or null: position = ordinal
    const u32 *live;           // bitmap of documents that may be found, or null: all
    const u8 *head;            // (docs rounded up to windows, head_terms) dense impacts of the most frequent terms, or null
    // the batch
    const u32 *query_start;  // (queries + 1)
    const u32 *query_slot;   // per query term: its place in `rows`
    const i32 *query_weight; // per query term
    const u32 *rows;         // distinct term rows of the batch, ascending
    const u32 *bin_shift;    // per query: score >> bin_shift is its histogram bin
    const u32 *window_order; // a spread order of the windows, so that any prefix is a sample
    const u8 *head_low;      // (queries rounded up to 8, head_terms) low byte of the weights of head terms
    const u8 *head_high;     // the high byte
    // written
    u64 *slots;      // (windows of the launch, rows) length << 32 | start of the list in its window; 0: absent
    i32 *threshold;  // per query: only scores >= it are of interest; never below 1
    u32 *histogram;  // (queries, SIR_BINS)
    u32 *count;      // per query: candidates met, stored or not
    u64 *candidates; // (queries, capacity) sort keys
    u64 *best;       // (queries, k) sort keys, best first, 0 where there are no more
    i32 *scores;     // (queries, docs): all scores, for the queries that fall back
    // where the arrays of the layout begin that are on the device: 0, or the first of a group of windows
    u64 first_entry;
    u64 first_posting;
    u32 first_group_window;
    u32 num_docs;
    u32 num_windows; // of this launch
    u32 window_shift;
    u32 num_queries;
    u32 num_rows;
    u32 first_window; // its first, counted in window_order
    u32 k;
    u32 capacity;
    u32 clear;      // tighten: empty the histogram afterwards
    u32 head_terms; // a multiple of 32
};

// Place of a list's posting: the window's base and the list's start are added before anything is narrowed.
SIR_BOTH u64 sir_posting_place(u64 window_posting, u32 list_start, u32 inside)
{
    return window_posting + list_start + inside;
}

// Place of a window's row in an array that begins with another window.
SIR_BOTH u64 sir_window_place(u32 window, u32 first_group_window, u64 each)
{
    return (u64)(window - first_group_window) * each;
}

// Place in a (rows x columns) table.
SIR_BOTH u64 sir_table_place(u32 row, u64 columns, u64 column)
{
    return (u64)row * columns + column;
}

// Larger is better: score descending, then ordinal ascending. Distinct for distinct documents, never 0 for a hit.
SIR_BOTH u64 sir_sort_key(i32 score, u32 ordinal)
{
    return (u64)(u32)score << 32 | (0xFFFFFFFFu - ordinal);
}

#endif
