/* WAND (Broder et al. 2003) and Block-Max WAND (Ding and Suel 2011), document at a time.
 *
 * Cursors stand sorted by their documents. The pivot is the first cursor at which the upper bounds of the lists up to it
 * add up to a score that may enter: no document before the pivot's can, since only lists before the pivot may hold it.
 * Block-Max WAND also adds the bounds of the pivot document's superblock, then block; when they are too small no document
 * up to the end of it, or to the next list's document, can enter, and the cursors skip behind.
 */
#include "cursor.h"

/* Moves cursors 0 .. moved - 1 back into order; the others are in order. Returns nothing: order is by document. */
static void restore_order(sir_cursor **order, uint32_t count, uint32_t moved) {
    for (uint32_t i = moved; i-- > 0;) {
        sir_cursor *cursor = order[i];
        uint32_t at = i;
        for (; at + 1 < count && order[at + 1]->doc < cursor->doc; at++) order[at] = order[at + 1];
        order[at] = cursor;
    }
}

/* Index of the last cursor on the pivot document, or count when no document can enter any more. */
static uint32_t find_pivot(sir_cursor **order, uint32_t count, uint32_t num_docs, uint32_t floor) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count && order[i]->doc < num_docs; i++) {
        sum += order[i]->upper_bound;
        if (sum < floor) continue;
        while (i + 1 < count && order[i + 1]->doc == order[i]->doc) i++;
        return i;
    }
    return count;
}

static uint64_t block_bound(const sir_segment *s, const sir_cursor *c, uint32_t block) {
    const uint64_t row = c->list.term->bound_row;
    if (row == SIR_NO_ROW) return c->upper_bound;
    const uint32_t level = sir_block_level(s->block_max + 32 * row * s->num_supers, block);
    return (uint64_t)c->list.weight * s->levels[SIR_NUM_LEVELS * row + level];
}

static uint64_t super_bound(const sir_segment *s, const sir_cursor *c, uint32_t super) {
    const uint64_t row = c->list.term->bound_row;
    return row == SIR_NO_ROW ? c->upper_bound : (uint64_t)c->list.weight * s->super_max[row * s->num_supers + super];
}

/* First document behind the pivot's superblock or block when its bounds say that nothing in it can enter, else 0. */
static uint32_t skip_target(const sir_context *c, sir_cursor **order, uint32_t last, uint32_t doc, uint32_t floor) {
    const uint32_t block = doc >> SIR_BLOCK_SHIFT, super = block / SIR_SUPER_BLOCKS;
    uint64_t in_super = 0, in_block = 0;
    for (uint32_t i = 0; i <= last; i++) in_super += super_bound(c->segment, order[i], super);
    c->stats->bounds_computed++;
    if (in_super < floor) return (super + 1) * SIR_SUPER_BLOCKS * SIR_BLOCK_DOCS;
    if (c->segment->without_blocks) return 0; /* no maxima of blocks */
    for (uint32_t i = 0; i <= last; i++) in_block += block_bound(c->segment, order[i], block);
    c->stats->bounds_computed++;
    return in_block < floor ? (block + 1) * SIR_BLOCK_DOCS : 0;
}

static void score_pivot(sir_context *c, sir_cursor **order, uint32_t last, uint32_t doc) {
    uint32_t score = 0;
    for (uint32_t i = 0; i <= last; i++) {
        score += sir_cursor_product(order[i]);
        sir_cursor_next_geq(c->segment, order[i], doc + 1);
    }
    sir_offer(c, doc, score);
    c->stats->documents_scored++;
    c->stats->postings_scored += last + 1;
}

static void search(sir_context *c, int use_blocks) {
    const sir_segment *s = c->segment;
    sir_cursor **order = c->workspace->order;
    const uint32_t count = c->num_lists;
    for (uint32_t i = 0; i < count; i++) {
        order[i] = &c->workspace->cursors[i];
        sir_cursor_start(s, order[i], &c->lists[i],
                         (sir_chunk){c->kernels, c->workspace->chunks + (uint64_t)SIR_CHUNK_ROOM * i});
    }
    for (uint32_t i = count; i-- > 0;) restore_order(order + i, count - i, 1);
    for (;;) {
        const uint32_t floor = sir_topk_floor(c->top);
        const uint32_t last = find_pivot(order, count, s->num_docs, floor);
        if (last == count) return;
        const uint32_t doc = order[last]->doc;
        uint32_t target = use_blocks ? skip_target(c, order, last, doc, floor) : 0;
        if (target > 0) {
            /* The list behind the pivot may hold an earlier document than the skip's end. */
            if (last + 1 < count) target = sir_min(target, order[last + 1]->doc);
            for (uint32_t i = 0; i <= last; i++) sir_cursor_next_geq(s, order[i], target);
            restore_order(order, count, last + 1);
        } else if (order[0]->doc == doc) {
            score_pivot(c, order, last, doc);
            restore_order(order, count, last + 1);
        } else {
            uint32_t moved = 0;
            while (moved <= last && order[moved]->doc < doc) sir_cursor_next_geq(s, order[moved++], doc);
            restore_order(order, count, moved);
        }
    }
}

void sir_engine_wand(sir_context *c) { search(c, 0); }

void sir_engine_block_max_wand(sir_context *c) { search(c, 1); }
