/* Choosing the fastest exact engine for a query and k, over all segments together.
 *
 * Costs are nanoseconds fitted to measurements on an AVX-512 core (docs/tuning.md); other machines scale all of them
 * alike. The one thing that cannot be known beforehand is how many blocks survive the filter, so the filter is asked: it
 * counts them once the most promising blocks have raised the threshold, and gives up when scoring the survivors would
 * take longer than exhaustive scoring, which then starts with that threshold. A search thus never costs much more than
 * the bounds above the cheaper engine.
 */
#include <math.h>

#include "block_filter.h"

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

/* Blocks that survive in indexes whose documents are in a good order, rather too few: more than k, and the more the fewer
 * documents a block's bound stands for. */
static double likely_blocks(uint32_t k, const sir_block_filter *f) {
    return 3 * (k + 16.0) * SIR_BLOCK_DOCS / f->docs_per_block;
}

static double cost_bounds(const sir_context *c, const sir_block_filter *f) {
    const double share = f->num_windows * (double)SIR_WINDOW_DOCS / c->segment->num_docs;
    double cost = 0;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        const sir_term *t = c->lists[i].term;
        cost += t->bound_row == SIR_NO_ROW ? SHORT_POSTING_NS * fmin(share, 1) * t->df : ROW_SUPER_NS * f->num_supers;
    }
    return cost;
}

void sir_engine_auto(sir_context *segments, uint32_t num_segments) {
    sir_topk *top = segments->top;
    double exhaustive = 0, filter = 0, all_blocks = 0;
    int bounded = 1;
    segments->stats->queries[SIR_ENGINE_AUTO] += num_segments;
    for (uint32_t i = 0; i < num_segments; i++) {
        sir_block_filter *f = segments[i].filter;
        sir_choose_blocks(&segments[i], f);
        all_blocks += f->num_blocks;
        exhaustive += sir_cost_exhaustive(&segments[i], f);
        filter += cost_bounds(&segments[i], f);
        bounded &= !segments[i].segment->without_blocks;
    }
    for (uint32_t i = 0; i < num_segments; i++) {
        const sir_block_filter *f = segments[i].filter;
        const double share = all_blocks > 0 ? fmin(1, likely_blocks(top->k, f) / all_blocks) : 0;
        filter += sir_cost_blocks(&segments[i], share * f->num_blocks);
    }
    if (bounded && filter < exhaustive) {
        const uint64_t before = top->threshold;
        if (sir_block_filter_search(segments, num_segments, exhaustive)) {
            segments->stats->queries[SIR_ENGINE_BLOCK_FILTER] += num_segments;
            return;
        }
        /* The hits found so far will be found again. The k-th best of them must then be able to enter: the threshold
         * stays one key below it. */
        sir_topk_tighten(top);
        if (top->threshold > before) top->threshold -= 1;
        top->count = 0;
    }
    sir_search_each(segments, num_segments, sir_engine_exhaustive);
}
