/* Cutting the caller's scratch into the arrays of one search. */
#include "engine.h"

static void *take(uint8_t *memory, uint64_t *used, uint64_t bytes) {
    void *here = memory == NULL ? NULL : memory + *used;
    *used += (bytes + 63) / 64 * 64 + 64; /* whole cache lines, and one more that vector loads may touch */
    return here;
}

uint64_t sir_workspace_layout(const sir_index *index, uint32_t k, uint32_t num_terms, void *memory, sir_workspace *w) {
    sir_workspace unused;
    uint64_t used = 0, n = num_terms;
    (void)index;
    if (w == NULL) w = &unused;
    w->accumulator = take(memory, &used, sizeof(uint32_t) * SIR_WINDOW_DOCS);
    w->positions = take(memory, &used, sizeof(uint32_t) * SIR_WINDOW_DOCS);
    w->bitmaps = take(memory, &used, sizeof(sir_bitmap_cursor) * (n + 3));
    w->keys = take(memory, &used, sizeof(uint64_t) * sir_topk_capacity(k));
    w->terms = take(memory, &used, sizeof(uint32_t) * n);
    w->weights = take(memory, &used, sizeof(uint32_t) * n);
    w->term_order = take(memory, &used, sizeof(uint64_t) * n);
    w->lists = take(memory, &used, sizeof(sir_list) * n);
    return used;
}

uint64_t sir_workspace_bytes(const sir_index *index, uint32_t k, uint32_t num_terms) {
    return sir_workspace_layout(index, k, num_terms, NULL, NULL);
}
