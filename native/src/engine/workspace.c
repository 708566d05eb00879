/* Cutting the caller's scratch into the arrays of one search. */
#include "pruning/block_filter.h"
#include "postings/cursor.h"

static void *take(uint8_t *memory, uint64_t *used, uint64_t bytes) {
    void *here = memory == NULL ? NULL : memory + *used;
    *used += (bytes + 63) / 64 * 64 + 64; /* whole cache lines, and one more that vector loads may touch */
    return here;
}

/* The arrays of one segment's block filter. */
static void take_filter(uint8_t *memory, uint64_t *used, const sir_segment *s, uint64_t num_terms, sir_block_filter *f) {
    const uint64_t blocks = SIR_SUPER_BLOCKS * (uint64_t)s->num_supers;
    const uint64_t per_window = SIR_WINDOW_DOCS / SIR_BLOCK_DOCS, of_windows = (blocks + per_window - 1) / per_window * per_window;
    const uint64_t rows = num_terms < SIR_BLOCK_FILTER_TERMS ? num_terms : SIR_BLOCK_FILTER_TERMS;
    f->bounds = take(memory, used, sizeof(uint16_t) * blocks);
    f->short_bounds = take(memory, used, sizeof(uint16_t) * of_windows);
    f->short_lists = take(memory, used, of_windows);
    f->super_bounds = take(memory, used, sizeof(uint16_t) * s->num_supers);
    f->allowed = take(memory, used, sizeof(uint64_t) * s->num_supers);
    f->supers = take(memory, used, sizeof(uint32_t) * s->num_supers);
    f->rows = take(memory, used, sizeof(sir_bound_row) * rows);
    f->blocks = take(memory, used, sizeof(uint32_t) * blocks);
    f->ordered = take(memory, used, sizeof(uint32_t) * blocks);
}

uint64_t sir_workspace_layout(const sir_index *index, uint32_t k, uint32_t num_terms, void *memory, sir_workspace *w) {
    sir_workspace unused;
    sir_block_filter none, shared;
    uint64_t used = 0, n = num_terms, segments = index->num_segments, most_blocks = 0;
    if (w == NULL) w = &unused;
    for (uint64_t i = 0; i < segments; i++) {
        const uint64_t blocks = SIR_SUPER_BLOCKS * (uint64_t)index->segments[i].num_supers;
        most_blocks = blocks > most_blocks ? blocks : most_blocks;
    }
    w->accumulator = take(memory, &used, sizeof(uint32_t) * SIR_WINDOW_DOCS);
    w->positions = take(memory, &used, sizeof(uint32_t) * SIR_WINDOW_DOCS);
    w->unpacked = take(memory, &used, sizeof(uint16_t) * (SIR_WINDOW_DOCS + 64));
    w->chunks = take(memory, &used, sizeof(uint16_t) * SIR_CHUNK_ROOM * n);
    w->bitmaps = take(memory, &used, sizeof(sir_bitmap_cursor) * (n + 3));
    w->keys = take(memory, &used, sizeof(uint64_t) * sir_topk_capacity(k));
    w->terms = take(memory, &used, sizeof(uint32_t) * n);
    w->weights = take(memory, &used, sizeof(uint32_t) * n);
    w->term_order = take(memory, &used, sizeof(uint64_t) * n);
    w->cursors = take(memory, &used, sizeof(sir_cursor) * n);
    w->leads = take(memory, &used, sizeof(sir_lead) * n);
    w->range_bounds = take(memory, &used, sizeof(uint32_t) * most_blocks);
    w->range_order = take(memory, &used, sizeof(uint32_t) * most_blocks);
    w->window_lists = take(memory, &used, sizeof(sir_window_list) * n);
    w->lists = take(memory, &used, sizeof(sir_list) * n * segments);
    w->contexts = take(memory, &used, sizeof(sir_context) * segments);
    w->filters = take(memory, &used, sizeof(sir_block_filter) * segments);
    shared.accumulators = take(memory, &used, sizeof(uint32_t) * SIR_BLOCK_DOCS * SIR_BATCH_SLOTS);
    shared.remaining = take(memory, &used, sizeof(uint32_t) * SIR_BATCH_SLOTS);
    shared.tasks = take(memory, &used, sizeof(sir_block_task) * (SIR_BATCH_SLOTS * SIR_PHASE_LISTS + SIR_PIPELINE));
    for (uint64_t i = 0; i < segments; i++) {
        sir_block_filter *f = memory == NULL ? &none : &w->filters[i];
        f->accumulators = shared.accumulators;
        f->remaining = shared.remaining;
        f->tasks = shared.tasks;
        take_filter(memory, &used, &index->segments[i], n, f);
    }
    return used;
}

uint64_t sir_workspace_bytes(const sir_index *index, uint32_t k, uint32_t num_terms) {
    return sir_workspace_layout(index, k, num_terms, NULL, NULL);
}
