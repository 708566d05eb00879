/* Upper bounds of all blocks, in 16-bit units.
 *
 * unit is chosen so that the sum of every term's largest contribution fits 16 bits, and every contribution is rounded up
 * to units: bound · unit >= score of every document in the block. Terms with a bound row contribute what their level of
 * the block stands for, which is never below the block's true maximum; terms without one, which are few documents long,
 * contribute the maximum over their own postings in the block.
 */
#include <string.h>

#include "block_filter.h"

enum { WINDOW_BLOCKS = SIR_WINDOW_DOCS / SIR_BLOCK_DOCS, WINDOW_SUPERS = WINDOW_BLOCKS / SIR_SUPER_BLOCKS };
enum { SAMPLE_BLOCKS = 64 };

/* Whether bounds are made for any block of the window. */
static uint32_t window_wanted(const sir_context *c, const sir_block_filter *f, uint32_t window) {
    const uint32_t end = sir_min((window + 1) * WINDOW_SUPERS, c->segment->num_supers);
    uint64_t any = !f->filtered;
    for (uint32_t super = window * WINDOW_SUPERS; any == 0 && super < end; super++) any |= f->allowed[super];
    return any != 0;
}

void sir_choose_blocks(const sir_context *c, sir_block_filter *f) {
    const sir_segment *s = c->segment;
    uint32_t samples = 0, docs = 0;
    f->filtered = c->mask != NULL;
    f->num_supers = f->num_blocks = f->num_windows = 0;
    if (f->filtered) c->kernels->allowed_blocks(c->mask, s->num_docs, f->allowed);
    for (uint32_t super = 0; super < s->num_supers; super++) {
        f->supers[f->num_supers] = super;
        f->num_supers += !f->filtered || f->allowed[super] != 0;
        if (!f->filtered || f->allowed[super] == 0) continue;
        f->num_blocks += (uint32_t)__builtin_popcountll(f->allowed[super]);
        if (samples == SAMPLE_BLOCKS) continue;
        const uint32_t block = SIR_SUPER_BLOCKS * super + (uint32_t)__builtin_ctzll(f->allowed[super]);
        docs += (uint32_t)__builtin_popcount(sir_allowed_in_block(c, block));
        samples++;
    }
    if (!f->filtered) f->num_blocks = s->num_blocks;
    f->docs_per_block = samples == 0 ? SIR_BLOCK_DOCS : (docs + samples - 1) / samples;
    for (uint32_t window = 0; window * WINDOW_SUPERS < s->num_supers; window++) f->num_windows += window_wanted(c, f, window);
}

/* The same for a packed list, whose doc_ids of a window have to be unpacked. */
static void add_packed_maxima(const sir_context *c, sir_block_filter *f, const sir_list *list, uint32_t window) {
    const uint32_t first = window * WINDOW_BLOCKS;
    sir_list part = *list;
    part.docs = sir_window_docs(c, &part, window);
    part.impacts += part.start;
    part.end -= part.start;
    part.start = 0;
    c->kernels->add_block_maxima(&part, 256 * list->weight / f->unit + 1, f->short_bounds + first, f->short_lists + first);
}

/* What the lists without a bound row contribute to each block, at most: the largest of their own postings in it. */
static void add_short_lists(const sir_context *c, sir_block_filter *f) {
    const uint32_t windows = (c->segment->num_docs + SIR_WINDOW_DOCS - 1) / SIR_WINDOW_DOCS;
    const uint32_t all_blocks = SIR_SUPER_BLOCKS * c->segment->num_supers;
    for (uint32_t window = 0; window < windows; window++) {
        const uint32_t first = window * WINDOW_BLOCKS, blocks = sir_min(WINDOW_BLOCKS, all_blocks - first);
        if (!window_wanted(c, f, window)) continue;
        memset(f->short_bounds + first, 0, sizeof *f->short_bounds * blocks);
        memset(f->short_lists + first, 0, blocks);
    }
    for (uint32_t i = f->first_short; i < f->first_short + f->num_short; i++) {
        sir_list *list = &c->lists[i];
        const uint32_t scale = 256 * list->weight / f->unit + 1;
        list->next_window = 0;
        for (uint32_t window = 0; window < windows; window++) {
            const uint32_t first = window * WINDOW_BLOCKS;
            if (!window_wanted(c, f, window)) continue;
            sir_enter_window(c->segment, list, window);
            if (list->docs == NULL) {
                add_packed_maxima(c, f, list, window);
                continue;
            }
            c->kernels->add_block_maxima(list, scale, f->short_bounds + first, f->short_lists + first);
        }
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
    uint32_t num_short = 0;
    for (uint32_t i = 0; i < f->num_bounded; i++) {
        sir_list *list = &c->lists[i];
        const uint32_t scale = 256 * list->weight / f->unit + 1;
        if (list->term->bound_row == SIR_NO_ROW) {
            list->row = num_short++;
            continue;
        }
        list->row = f->num_rows;
        sir_bound_row *row = &f->rows[f->num_rows++];
        row->nibbles = s->block_max + 32 * (uint64_t)list->term->bound_row * s->num_supers;
        const uint8_t *levels = s->levels + SIR_NUM_LEVELS * (uint64_t)list->term->bound_row;
        for (uint32_t l = 0; l < SIR_NUM_LEVELS; l++)
            row->contribution[l] = sir_units(sir_min(levels[l], list->term->list_max), scale);
    }
    add_short_lists(c, f);
    c->kernels->block_bounds(f);
    c->stats->bounds_computed += (uint64_t)SIR_SUPER_BLOCKS * f->num_supers;
}
