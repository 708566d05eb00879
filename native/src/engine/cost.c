/* The cost model that auto chooses by, and the block filter gives up by.
 *
 * Nanoseconds fitted to measurements on an AVX-512 core (docs/tuning.md); other machines scale all of them alike, so that the
 * comparison of two costs holds there too. */
#include <math.h>

#include "engine/cost.h"

/* One pass over the documents for four bitmaps, one scattered posting, reading a document's sum. */
static const double QUAD_DOC_NS = 0.13, SCATTER_NS = 0.6, COLLECT_DOC_NS = 0.03;
/* A superblock of a bound row, a posting of a list without one; a block scored until it is dropped: alone and per list;
 * what a list costs more in a block that is not dropped. */
static const double ROW_SUPER_NS = 1.5, SHORT_POSTING_NS = 0.6, BLOCK_NS = 70, BLOCK_LIST_NS = 4.5, FULL_LIST_NS = 12;
/* Under a filter, passing over 64 documents for four bitmaps costs this share of scoring them. */
static const double PASSED_OVER = 0.3;

double sir_cost_exhaustive(const sir_context *c, const sir_block_filter *f) {
    const sir_segment *s = c->segment;
    /* Windows without an allowed document cost nothing, groups of two blocks without one a part. */
    const double docs = fmin(s->num_docs, (double)f->num_windows * SIR_WINDOW_DOCS), share = docs / s->num_docs;
    const double scored = fmin(docs, (f->filtered ? 2.0 : 1.0) * f->num_blocks * SIR_BLOCK_DOCS);
    uint32_t bitmaps = 0;
    double postings = 0;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        const sir_term *t = c->lists[i].term;
        if (s->bits != NULL && c->kernels->bitmap_scores != NULL && t->bits_row != SIR_NO_ROW)
            bitmaps++;
        else
            postings += t->df;
    }
    return (bitmaps + 3) / 4 * QUAD_DOC_NS * (scored + PASSED_OVER * (docs - scored)) + SCATTER_NS * share * postings +
           COLLECT_DOC_NS * docs;
}

/* Most blocks are dropped early; as many as there are hits are not. */
double sir_cost_blocks(const sir_context *c, double blocks) {
    return blocks * (BLOCK_NS + BLOCK_LIST_NS * c->num_lists) + fmin(blocks, c->top->k + 32.0) * FULL_LIST_NS * c->num_lists;
}

/* Measured on indexes whose documents are in a good order, and rather too few than too many. They are more than k, and the more
 * the fewer documents of a block may be hits, since its bound is that of all its documents. */
double sir_likely_blocks(const sir_context *c, const sir_block_filter *f) {
    return 3 * (c->top->k + 16.0) * SIR_BLOCK_DOCS / f->docs_per_block;
}

double sir_cost_bounds(const sir_context *c, const sir_block_filter *f) {
    const double share = f->num_windows * (double)SIR_WINDOW_DOCS / c->segment->num_docs;
    double cost = 0;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        const sir_term *t = c->lists[i].term;
        cost += t->bound_row == SIR_NO_ROW ? SHORT_POSTING_NS * fmin(share, 1) * t->df : ROW_SUPER_NS * f->num_supers;
    }
    return cost;
}
