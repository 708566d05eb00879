/* Scoring of blocks, written once and compiled for each instruction set.
 *
 * The including file defines, for its instruction set:
 *   TARGET                                                          function attributes
 *   add_present(accumulator, present, impacts, weight)              impacts of the documents whose bits are set, in order
 *   add_range(accumulator, docs, impacts, count, base, weight)      postings of one block among `count`; returns how many
 *
 * A task reads memory nobody has touched: a directory entry, then postings whose place the entry tells. Both are
 * prefetched in a pipeline over the tasks, so that no load waits for another.
 */
#include "block.h"

/* Postings of a sparse directory's window that holds the block. */
static inline void sparse_range(const sir_segment *s, const sir_term *t, uint32_t block, uint32_t *start, uint32_t *end) {
    const uint16_t *ids = s->window_ids + t->directory_start;
    const uint32_t *starts = s->window_starts + t->directory_start;
    uint32_t lo = 0, hi = t->num_windows, window = block >> (16 - SIR_BLOCK_SHIFT);
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (ids[mid] < window)
            lo = mid + 1;
        else
            hi = mid;
    }
    *start = *end = 0;
    if (lo == t->num_windows || ids[lo] != window) return;
    *end = lo + 1 < t->num_windows ? sir_min(starts[lo + 1], t->df) : t->df;
    *start = sir_min(starts[lo], *end);
}

static inline const uint32_t *cell_of(const sir_segment *s, const sir_term *t, uint32_t block) {
    return s->cells + t->directory_start + (block >> (t->cell_shift - SIR_BLOCK_SHIFT));
}

static inline int has_bitmap(const sir_segment *s, const sir_term *t) {
    return s->bits != NULL && t->bits_row != SIR_NO_ROW;
}

static inline const uint64_t *bits_of(const sir_segment *s, const sir_term *t, uint32_t block) {
    return s->bits + t->bits_row * s->bits_stride + block / 2;
}

static inline void prefetch_directory(const sir_block_batch *b, sir_block_task task) {
    const sir_term *t = b->lists[task.list].term;
    uint32_t block = b->blocks[task.slot];
    if (t->cell_shift == SIR_SPARSE) return; /* small, and used by every block of the batch */
    __builtin_prefetch(cell_of(b->segment, t, block));
    if (has_bitmap(b->segment, t)) __builtin_prefetch(bits_of(b->segment, t, block));
}

/* Finds where the task's postings lie and starts loading them. */
TARGET static inline sir_block_range locate(const sir_block_batch *b, sir_block_task task) {
    const sir_list *list = &b->lists[task.list];
    const sir_term *t = list->term;
    const uint32_t block = b->blocks[task.slot];
    sir_block_range r = {.slot = task.slot, .weight = list->weight, .base = (uint16_t)(block << SIR_BLOCK_SHIFT)};
    uint32_t start, end;
    if (has_bitmap(b->segment, t)) {
        const uint64_t *word = bits_of(b->segment, t, block);
        const uint64_t *first = bits_of(b->segment, t, block >> (t->cell_shift - 5) << (t->cell_shift - 5));
        start = *cell_of(b->segment, t, block);
        /* subtle: a cell of one block may start in the middle of a word; its count already stands in the directory. */
        uint32_t odd = block & 1;
        if (t->cell_shift > SIR_BLOCK_SHIFT) {
            for (; first < word; first++) start += (uint32_t)__builtin_popcountll(*first);
            if (odd) start += (uint32_t)__builtin_popcount((uint32_t)*word);
        }
        r.present = (uint32_t)(*word >> (32 * odd));
        r.impacts = list->impacts + sir_min(start, t->df);
        __builtin_prefetch(r.impacts);
        __builtin_prefetch(r.impacts + 31);
        return r;
    }
    if (t->cell_shift == SIR_SPARSE) {
        sparse_range(b->segment, t, block, &start, &end);
    } else {
        uint32_t cell = block >> (t->cell_shift - SIR_BLOCK_SHIFT);
        sir_cell_range(b->segment, t, cell, cell + 1, &start, &end);
    }
    r.docs = list->docs + start;
    r.impacts = list->impacts + start;
    r.count = end - start;
    __builtin_prefetch(r.docs);
    __builtin_prefetch(r.docs + 31);
    __builtin_prefetch(r.impacts);
    return r;
}

/* Runs the tasks. The array must be padded with SIR_PIPELINE copies of its last task. */
TARGET static void score_tasks(sir_block_batch *b, const sir_block_task *tasks, uint32_t count) {
    sir_block_range ring[SIR_PIPELINE / 2];
    const uint32_t depth = SIR_PIPELINE / 2;
    if (count == 0) return;
    for (uint32_t i = 0; i < SIR_PIPELINE; i++) prefetch_directory(b, tasks[i]);
    for (uint32_t i = 0; i < depth; i++) ring[i] = locate(b, tasks[i]);
    for (uint32_t i = 0, at = 0; i < count; i++) {
        const sir_block_range r = ring[at];
        uint32_t *accumulator = b->accumulators + SIR_BLOCK_DOCS * r.slot;
        prefetch_directory(b, tasks[i + SIR_PIPELINE]);
        ring[at] = locate(b, tasks[i + depth]);
        at = at + 1 == depth ? 0 : at + 1;
        if (r.docs == NULL) {
            add_present(accumulator, r.present, r.impacts, r.weight);
            b->postings += (uint32_t)__builtin_popcount(r.present);
        } else {
            b->postings += add_range(accumulator, r.docs, r.impacts, r.count, r.base, r.weight);
        }
    }
}
