/* Upper bounds of all blocks, in 16-bit units.
 *
 * unit is chosen so that the sum of every term's largest contribution fits 16 bits, and every contribution is rounded up
 * to units: bound · unit >= score of every document in the block. A term with a bound row contributes the impact of the block's
 * level, which is never below the block's true maximum. A term without one has few postings and contributes the largest of those
 * that lie in the block.
 */
#include <string.h>

#include "pruning/block_bounds.h"

enum { WINDOW_BLOCKS = SIR_WINDOW_DOCS / SIR_BLOCK_DOCS, WINDOW_SUPERS = WINDOW_BLOCKS / SIR_SUPER_BLOCKS };
enum { SAMPLE_BLOCKS = 64, FIRST_PHASE = 6 };

static int without_row(const sir_list *list) { return list->term->bound_row == SIR_NO_ROW; }

/* For sir_units. */
static uint32_t scale_of(const sir_block_filter *f, const sir_list *list) { return 256 * list->weight / f->unit + 1; }

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

/* Adds the maxima of a packed list's postings in a window, whose doc_ids have to be unpacked first. */
static void add_packed_maxima(const sir_context *c, sir_block_filter *f, const sir_list *list, uint8_t bit, uint32_t window) {
    const uint32_t first = window * WINDOW_BLOCKS;
    sir_list part = *list;
    part.docs = sir_window_docs(c, &part, window);
    part.impacts += part.start;
    part.end -= part.start;
    part.start = 0;
    c->kernels->add_block_maxima(&part, bit, scale_of(f, list), f->short_bounds + first, f->short_lists + first);
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
    for (uint32_t i = 0; i < f->num_short; i++) {
        sir_list *list = &c->lists[f->first_short + i];
        const uint8_t bit = sir_short_bit(i);
        list->next_window = 0;
        for (uint32_t window = 0; window < windows; window++) {
            const uint32_t first = window * WINDOW_BLOCKS;
            if (!window_wanted(c, f, window)) continue;
            sir_enter_window(c->segment, list, window);
            if (list->docs == NULL) {
                add_packed_maxima(c, f, list, bit, window);
                continue;
            }
            c->kernels->add_block_maxima(list, bit, scale_of(f, list), f->short_bounds + first, f->short_lists + first);
        }
    }
}

/* Heaviest possible contribution first, of the first `count` lists. Stable, and short lists last where that is asked. */
static void sort_lists(sir_list *lists, uint32_t count, int short_last) {
    const uint64_t lead = short_last ? (uint64_t)1 << 40 : 0;
    for (uint32_t i = 1; i < count; i++) {
        sir_list list = lists[i];
        const uint64_t rank = sir_largest_contribution(&list) + (without_row(&list) ? 0 : lead);
        uint32_t at = i;
        for (; at > 0 && sir_largest_contribution(&lists[at - 1]) + (without_row(&lists[at - 1]) ? 0 : lead) < rank; at--)
            lists[at] = lists[at - 1];
        lists[at] = list;
    }
}

/* Makes the lists without a bound row the second phase of scoring. The first is the heaviest lists, which hold a sixth of what all
 * may contribute: after it many blocks are dropped, and a block's postings cost the most to find in a list without a row. */
static void place_short_lists(sir_context *c, sir_block_filter *f) {
    uint64_t all = 0, held = 0;
    uint32_t num_rows = f->num_bounded;
    for (uint32_t i = 0; i < f->num_bounded; i++) all += sir_largest_contribution(&c->lists[i]);
    while (num_rows > 0 && without_row(&c->lists[num_rows - 1])) num_rows--;
    f->num_short = f->num_bounded - num_rows;
    f->first_short = 0;
    while (f->first_short < num_rows && FIRST_PHASE * held < all) held += sir_largest_contribution(&c->lists[f->first_short++]);
    for (uint32_t i = 0; i < f->num_short; i++) {
        const sir_list list = c->lists[num_rows + i];
        sir_list *to = c->lists + f->first_short + i;
        memmove(to + 1, to, sizeof *to * (num_rows - f->first_short));
        *to = list;
    }
}

/* Which lists are in the bounds, and what a bound counts for. Exact search counts all, in full. Approximate search counts
 * the heaviest ones that hold bound_mass of what all may contribute. A sum of block maxima, which rarely meet in one
 * document, is divided by bound_factor; a list maximum, which few blocks reach, by its third power. */
static void choose_lists(sir_context *c, sir_block_filter *f) {
    uint64_t all = 0, held = 0;
    f->discount = 1 / c->bound_factor;
    f->light_discount = f->discount * f->discount * f->discount;
    f->num_bounded = c->num_lists;
    f->light = 0;
    if (c->bound_factor > 1 && c->bound_mass < 1) {
        sort_lists(c->lists, c->num_lists, 0);
        for (uint32_t i = 0; i < c->num_lists; i++) all += sir_largest_contribution(&c->lists[i]);
        f->num_bounded = 0;
        while (f->num_bounded < c->num_lists && (double)held < c->bound_mass * (double)all)
            held += sir_largest_contribution(&c->lists[f->num_bounded++]);
        f->light = (uint64_t)(f->light_discount * (double)(all - held));
    }
    sort_lists(c->lists, f->num_bounded, 1);
    place_short_lists(c, f);
}

void sir_bound_all_blocks(sir_context *c, sir_block_filter *f) {
    const sir_segment *s = c->segment;
    uint64_t sum = 0;
    uint32_t heaviest = 0;
    choose_lists(c, f);
    for (uint32_t i = 0; i < f->num_bounded; i++) {
        sum += c->lists[i].weight * (uint64_t)c->lists[i].term->list_max;
        heaviest = sir_max(heaviest, c->lists[i].weight);
    }
    /* A contribution is less than impact * weight / unit + 2, so that the sum over all lists stays below 65,536. */
    f->unit = sir_max((uint32_t)(sum / (65535 - 2 * f->num_bounded)) + 2, heaviest / 255 + 1); /* and scale fits 16 bits */
    f->num_rows = 0;
    for (uint32_t i = 0; i < f->num_bounded; i++) {
        const sir_list *list = &c->lists[i];
        if (without_row(list)) continue;
        const uint32_t scale = scale_of(f, list);
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
