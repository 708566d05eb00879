/* Upper bounds of all blocks, in 16-bit units.
 *
 * unit is chosen so that the sum of every term's largest contribution fits 16 bits, and every contribution is rounded up
 * to units: bound · unit >= score of every document in the block. Terms with a bound row contribute what their level of
 * the block stands for, which is never below the block's true maximum; terms without one, which are few documents long,
 * contribute the maximum over their own postings in the block.
 */
#include <string.h>

#include "block_filter.h"

/* Adds the postings of a list without a bound row: per block its largest contribution. */
static void add_short_list(const sir_context *c, sir_block_filter *f, sir_list *list, uint32_t reciprocal) {
    const uint32_t windows = (c->segment->num_docs + SIR_WINDOW_DOCS - 1) / SIR_WINDOW_DOCS;
    const uint8_t bit = (uint8_t)(1 << (list->row & 7));
    uint16_t units[256];
    for (uint32_t i = 0; i < 256; i++) units[i] = sir_units(list->weight * i, reciprocal);
    list->next_window = 0;
    for (uint32_t window = 0; window < windows; window++) {
        sir_enter_window(c->segment, list, window);
        uint16_t *bounds = f->short_bounds + window * (SIR_WINDOW_DOCS / SIR_BLOCK_DOCS);
        uint8_t *lists = f->short_lists + window * (SIR_WINDOW_DOCS / SIR_BLOCK_DOCS);
        uint32_t last_block = UINT32_MAX, last = 0;
        for (uint32_t i = list->start; i < list->end; i++) {
            const uint32_t block = list->docs[i] >> SIR_BLOCK_SHIFT;
            /* Of a run in one block only the largest counts: the rest adds what it exceeds the one before by.
             * All bits or none instead of a branch: neighbours share a block too irregularly to be predicted. */
            const uint32_t before = last & (0 - (uint32_t)(block == last_block));
            last = sir_max(units[list->impacts[i]], before);
            last_block = block;
            bounds[block] = (uint16_t)(bounds[block] + last - before);
            lists[block] |= bit;
        }
    }
}

void sir_block_bounds(sir_context *c, sir_block_filter *f) {
    const sir_segment *s = c->segment;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->num_lists; i++) sum += c->lists[i].weight * (uint64_t)c->lists[i].term->list_max;
    const uint32_t unit = (uint32_t)(sum / (65535 - 2 * c->num_lists)) + 2;
    const uint32_t reciprocal = (uint32_t)(((uint64_t)1 << 32) / unit) + 1;
    f->unit = unit;
    f->num_rows = 0;
    memset(f->short_bounds, 0, sizeof *f->short_bounds * SIR_SUPER_BLOCKS * s->num_supers);
    memset(f->short_lists, 0, SIR_SUPER_BLOCKS * s->num_supers);
    uint32_t num_short = 0;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        sir_list *list = &c->lists[i];
        list->has_row = list->term->bound_row != SIR_NO_ROW;
        if (!list->has_row) {
            list->row = num_short++;
            add_short_list(c, f, list, reciprocal);
            continue;
        }
        list->row = f->num_rows;
        sir_bound_row *row = &f->rows[f->num_rows++];
        row->nibbles = s->block_max + 32 * (uint64_t)list->term->bound_row * s->num_supers;
        const uint8_t *levels = s->levels + SIR_NUM_LEVELS * (uint64_t)list->term->bound_row;
        for (uint32_t l = 0; l < SIR_NUM_LEVELS; l++)
            row->contribution[l] = sir_units(list->weight * sir_min(levels[l], list->term->list_max), reciprocal);
    }
    c->kernels->block_bounds(f, s->num_supers);
    c->stats->bounds_computed += s->num_blocks;
    for (uint32_t b = 0; c->mask != NULL && b < s->num_blocks; b++)
        if ((uint32_t)(c->mask[b / 2] >> (32 * (b % 2))) == 0) f->bounds[b] = 0; /* no document of it may be a hit */
}
