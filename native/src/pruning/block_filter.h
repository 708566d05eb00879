#ifndef SIR_BLOCK_FILTER_H
#define SIR_BLOCK_FILTER_H

#include "postings/block.h"

/* State of a block-filtered search in one segment; the arrays are the workspace's. */
typedef struct sir_block_filter {
    /* Of the segment. The arrays of short lists are written where postings say, and have room for whole windows because a damaged
     * file may name any document of a window. */
    uint16_t *bounds;       /* num_supers * 64, in units; 0 once the block is scored */
    uint16_t *short_bounds; /* of it, the contribution of the lists without a bound row */
    uint8_t *short_lists;   /* which of them a block holds: sir_short_bit */
    uint16_t *super_bounds; /* largest bound of each superblock */
    uint64_t *allowed;      /* under a filter, a word a superblock: its blocks that hold a document which may be a hit */
    uint32_t *supers;       /* superblocks with such a block, ascending: bounds are made for them alone */
    uint32_t num_supers, num_blocks, num_windows; /* how many superblocks, blocks and windows these are */
    uint32_t docs_per_block;                      /* documents of such a block that may be hits, estimated from some */
    int filtered;                                 /* 0: all documents may be hits, and `allowed` is not filled */
    sir_bound_row *rows;                          /* of the lists in the bounds that have one, in the order of the lists */
    uint32_t num_rows, unit, cut, num_candidates; /* cut: bound that makes a block a candidate, in units */
    uint32_t first_short;  /* lists of the first phase, which all have a bound row; those without one follow */
    uint32_t num_short;    /* lists without a bound row whose block maxima are in the bounds */
    uint32_t num_bounded;  /* lists that are in the bounds, num_short among them; approximate search leaves light ones out */
    double discount;       /* what a bound counts for: 1 in exact search */
    double light_discount; /* what a list maximum counts for, of a list that is not in the bounds */
    uint64_t light;        /* what the lists that are not in the bounds count for */
    uint32_t *blocks;      /* candidates, num_supers * 64 */
    uint32_t *ordered;     /* candidates by falling bound */
    /* Of all segments. */
    uint32_t *accumulators;
    uint32_t *remaining; /* per slot: bound of the lists not yet scored, in units */
    sir_block_task *tasks;
} sir_block_filter;

/* Bit in short_lists of list number i among those without a bound row. Eight lists share each bit of many. */
static inline uint8_t sir_short_bit(uint32_t i) { return (uint8_t)(1 << (i & 7)); }

/* Longest query whose bounds fit: beyond it rounding up alone would fill 16 bits. */
enum { SIR_BLOCK_FILTER_TERMS = 8192 };

/* Searches all segments by block filtering. Returns 0 when it gave up because the query has too many terms, or because scoring the
 * blocks that remain would take more than budget nanoseconds. The hits offered until then are true hits, so that the threshold they
 * raised may be used. */
int sir_block_filter_search(sir_context *segments, uint32_t num_segments, double budget);

#endif
