/* Upper bounds of all blocks of a segment, which the block filter and Block-Max WAND pass over blocks by. */
#ifndef SIR_BLOCK_BOUNDS_H
#define SIR_BLOCK_BOUNDS_H

#include "pruning/block_filter.h"

/* Finds the superblocks and blocks that hold a document which may be a hit: to be called before all that follows. */
void sir_choose_blocks(const sir_context *c, sir_block_filter *f);

/* Chooses the lists in the bounds, which change places, and computes f->unit, f->rows, f->bounds and f->super_bounds from them.
 * The context has at most SIR_BLOCK_FILTER_TERMS lists. */
void sir_bound_all_blocks(sir_context *c, sir_block_filter *f);

/* The most that a list adds to any score. */
static inline uint64_t sir_largest_contribution(const sir_list *list) { return (uint64_t)list->weight * list->term->list_max; }

#endif
