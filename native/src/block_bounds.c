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
static void add_short_list(const sir_context *c, sir_block_filter *f, sir_list *list, uint32_t scale) {
    const uint32_t windows = (c->segment->num_docs + SIR_WINDOW_DOCS - 1) / SIR_WINDOW_DOCS;
    list->next_window = 0;
    for (uint32_t window = 0; window < windows; window++) {
        const uint32_t first = window * (SIR_WINDOW_DOCS / SIR_BLOCK_DOCS);
        sir_enter_window(c->segment, list, window);
        c->kernels->add_block_maxima(list, scale, f->short_bounds + first, f->short_lists + first);
    }
}

void sir_block_bounds(sir_context *c, sir_block_filter *f) {
    const sir_segment *s = c->segment;
    uint64_t sum = 0;
    uint32_t heaviest = 0;
    for (uint32_t i = 0; i < f->num_bounded; i++) {
        sum += c->lists[i].weight * (uint64_t)c->lists[i].term->list_max;
        heaviest = sir_max(heaviest, c->lists[i].weight);
    }
    /* A contribution is less than impact * weight / unit + 2, so that the sum over all lists stays below 65,536. */
    f->unit = sir_max((uint32_t)(sum / (65535 - 2 * f->num_bounded)) + 2, heaviest / 255 + 1); /* and scale fits 16 bits */
    f->num_rows = 0;
    memset(f->short_bounds, 0, sizeof *f->short_bounds * SIR_SUPER_BLOCKS * s->num_supers);
    memset(f->short_lists, 0, SIR_SUPER_BLOCKS * s->num_supers);
    for (uint32_t i = 0; i < f->num_bounded; i++) {
        sir_list *list = &c->lists[i];
        const uint32_t scale = 256 * list->weight / f->unit + 1;
        if (i < f->num_short) {
            list->row = i;
            add_short_list(c, f, list, scale);
            continue;
        }
        list->row = f->num_rows;
        sir_bound_row *row = &f->rows[f->num_rows++];
        row->nibbles = s->block_max + 32 * (uint64_t)list->term->bound_row * s->num_supers;
        const uint8_t *levels = s->levels + SIR_NUM_LEVELS * (uint64_t)list->term->bound_row;
        for (uint32_t l = 0; l < SIR_NUM_LEVELS; l++)
            row->contribution[l] = sir_units(sir_min(levels[l], list->term->list_max), scale);
    }
    c->kernels->block_bounds(f, s->num_supers);
    c->stats->bounds_computed += s->num_blocks;
    for (uint32_t b = 0; c->mask != NULL && b < s->num_blocks; b++)
        if ((uint32_t)(c->mask[b / 2] >> (32 * (b % 2))) == 0) f->bounds[b] = 0; /* no document of it may be a hit */
}
