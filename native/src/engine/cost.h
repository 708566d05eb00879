/* What searching costs, in nanoseconds. */
#ifndef SIR_COST_H
#define SIR_COST_H

#include "pruning/block_filter.h"

/* Scoring every posting of the segment; sir_choose_blocks has been called. */
double sir_cost_exhaustive(const sir_context *c, const sir_block_filter *f);

/* Bounding all blocks of the segment; likewise. */
double sir_cost_bounds(const sir_context *c, const sir_block_filter *f);

/* Scoring a number of blocks of the segment in the block filter. */
double sir_cost_blocks(const sir_context *c, double blocks);

/* Number of blocks that the filter is likely to leave of all segments, before anything is known of their bounds. */
double sir_likely_blocks(const sir_context *c, const sir_block_filter *f);

#endif
