/* Cutting the caller's scratch into the arrays of one search. */
#include "block_filter.h"
#include "cursor.h"

static void *take(uint8_t *memory, uint64_t *used, uint64_t bytes) {
    void *here = memory == NULL ? NULL : memory + *used;
    *used += (bytes + 63) / 64 * 64 + 64; /* whole cache lines, and one more that vector loads may touch */
    return here;
}

uint64_t sir_workspace_layout(const sir_index *index, uint32_t k, uint32_t num_terms, void *memory, sir_workspace *w) {
    sir_workspace unused;
    uint64_t used = 0, n = num_terms;
    sir_block_filter none, *f;
    const uint64_t supers = ((uint64_t)index->max_blocks + SIR_SUPER_BLOCKS - 1) / SIR_SUPER_BLOCKS;
    const uint64_t rows = n < SIR_BLOCK_FILTER_TERMS ? n : SIR_BLOCK_FILTER_TERMS;
    if (w == NULL) w = &unused;
    w->accumulator = take(memory, &used, sizeof(uint32_t) * SIR_WINDOW_DOCS);
    w->positions = take(memory, &used, sizeof(uint32_t) * SIR_WINDOW_DOCS);
    w->unpacked = take(memory, &used, sizeof(uint16_t) * (SIR_WINDOW_DOCS + 64));
    w->chunks = take(memory, &used, sizeof(uint16_t) * SIR_CHUNK_ROOM * n);
    w->bitmaps = take(memory, &used, sizeof(sir_bitmap_cursor) * (n + 3));
    w->keys = take(memory, &used, sizeof(uint64_t) * sir_topk_capacity(k));
    w->saved_keys = take(memory, &used, sizeof(uint64_t) * sir_topk_capacity(k));
    w->terms = take(memory, &used, sizeof(uint32_t) * n);
    w->weights = take(memory, &used, sizeof(uint32_t) * n);
    w->term_order = take(memory, &used, sizeof(uint64_t) * n);
    w->lists = take(memory, &used, sizeof(sir_list) * n);
    w->cursors = take(memory, &used, sizeof(sir_cursor) * n);
    w->order = take(memory, &used, sizeof(sir_cursor *) * n);
    w->block_filter = take(memory, &used, sizeof *f);
    f = memory == NULL ? &none : w->block_filter;
    f->bounds = take(memory, &used, sizeof(uint16_t) * SIR_SUPER_BLOCKS * supers);
    f->short_bounds = take(memory, &used, sizeof(uint16_t) * SIR_SUPER_BLOCKS * supers);
    f->short_lists = take(memory, &used, SIR_SUPER_BLOCKS * supers);
    f->super_bounds = take(memory, &used, sizeof(uint16_t) * supers);
    f->allowed = take(memory, &used, sizeof(uint64_t) * supers);
    f->supers = take(memory, &used, sizeof(uint32_t) * supers);
    f->rows = take(memory, &used, sizeof(sir_bound_row) * rows);
    f->blocks = take(memory, &used, sizeof(uint32_t) * (SIR_SUPER_BLOCKS * supers + SIR_WINDOW_DOCS));
    f->ordered = take(memory, &used, sizeof(uint32_t) * SIR_SUPER_BLOCKS * supers);
    f->accumulators = take(memory, &used, sizeof(uint32_t) * SIR_BLOCK_DOCS * SIR_BATCH_SLOTS);
    f->remaining = take(memory, &used, sizeof(uint32_t) * SIR_BATCH_SLOTS);
    f->tasks = take(memory, &used, sizeof(sir_block_task) * (SIR_BATCH_SLOTS * SIR_PHASE_LISTS + SIR_PIPELINE));
    return used;
}

uint64_t sir_workspace_bytes(const sir_index *index, uint32_t k, uint32_t num_terms) {
    return sir_workspace_layout(index, k, num_terms, NULL, NULL);
}
