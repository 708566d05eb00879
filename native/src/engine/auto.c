/* Choosing the fastest exact engine for a query and k, over all segments together.
 *
 * The one thing that cannot be known beforehand is how many blocks survive the filter, so the filter is asked: it counts them
 * once the most promising blocks have raised the threshold, and gives up when scoring the survivors would take longer than
 * exhaustive scoring, which then starts with that threshold. A search therefore never costs much more than the cheaper engine
 * and the bounds of all blocks together.
 */
#include <math.h>

#include "checks.h"
#include "pruning/block_bounds.h"
#include "engine/cost.h"

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
        filter += sir_cost_bounds(&segments[i], f);
        bounded &= !segments[i].segment->without_blocks;
    }
    for (uint32_t i = 0; i < num_segments; i++) {
        const sir_block_filter *f = segments[i].filter;
        const double share = all_blocks > 0 ? fmin(1, sir_likely_blocks(&segments[i], f) / all_blocks) : 0;
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
        SIR_ASSERT(top->threshold >= before);
        if (top->threshold > before) top->threshold -= 1;
        top->count = 0;
    }
    sir_search_each(segments, num_segments, sir_engine_exhaustive);
}
