/* Choosing the fastest exact engine for a query, k and segment.
 *
 * Costs are nanoseconds fitted to measurements on an AVX-512 core (docs/tuning.md); other machines scale all of them
 * alike. The one thing that cannot be known beforehand is how many blocks survive the filter, so the filter is asked: it
 * counts them once the most promising blocks have raised the threshold, and gives up when scoring the survivors would
 * take longer than exhaustive scoring, which then starts with that threshold. A search thus never costs much more than
 * the bounds above the cheaper engine.
 */
#include <string.h>

#include "block_filter.h"

/* One pass over the documents for four bitmaps, one scattered posting, reading a document's sum. */
static const double QUAD_DOC_NS = 0.13, SCATTER_NS = 0.6, COLLECT_DOC_NS = 0.03;
/* A superblock of a bound row, a posting of a list without one, a block scored: alone and per list. */
static const double ROW_SUPER_NS = 1.5, SHORT_POSTING_NS = 0.6, BLOCK_NS = 100, BLOCK_LIST_NS = 9;

double sir_cost_exhaustive(const sir_context *c) {
    const sir_segment *s = c->segment;
    uint32_t bitmaps = 0;
    double postings = 0;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        const sir_term *t = c->lists[i].term;
        if (s->bits != NULL && c->kernels->bitmap_scores != NULL && t->bits_row != SIR_NO_ROW)
            bitmaps++;
        else
            postings += t->df;
    }
    return (bitmaps + 3) / 4 * QUAD_DOC_NS * s->num_docs + SCATTER_NS * postings + COLLECT_DOC_NS * s->num_docs;
}

double sir_cost_blocks(const sir_context *c, double blocks) { return blocks * (BLOCK_NS + BLOCK_LIST_NS * c->num_lists); }

static double cost_bounds(const sir_context *c) {
    double cost = 0;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        const sir_term *t = c->lists[i].term;
        cost += t->bound_row == SIR_NO_ROW ? SHORT_POSTING_NS * t->df : ROW_SUPER_NS * c->segment->num_supers;
    }
    return cost;
}

void sir_engine_auto(sir_context *c) {
    sir_topk *top = c->top;
    const double exhaustive = sir_cost_exhaustive(c);
    /* k hits lie in k blocks at worst; twice as many survive in indexes whose documents are in a good order. */
    const double filter = cost_bounds(c) + sir_cost_blocks(c, 2.0 * top->k + 32);
    if (filter < exhaustive && !c->segment->compact) {
        sir_topk_tighten(top);
        const uint32_t held = top->count;
        const uint64_t before = top->threshold;
        memcpy(c->workspace->saved_keys, top->keys, sizeof *top->keys * held);
        c->stats->queries[SIR_ENGINE_BLOCK_FILTER]++;
        if (sir_block_filter_search(c, exhaustive)) return;
        /* The hits found so far will be found again. The k-th best of them must then be able to enter: the threshold
         * stays one key below it. */
        sir_topk_tighten(top);
        if (top->threshold > before) top->threshold -= 1;
        memcpy(top->keys, c->workspace->saved_keys, sizeof *top->keys * held);
        top->count = held;
    }
    c->stats->queries[SIR_ENGINE_EXHAUSTIVE]++;
    sir_engine_exhaustive(c);
}
