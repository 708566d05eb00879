/* One query over all segments of an index: prepare, search each segment with the threshold carried on, write the hits. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine.h"

typedef void (*engine_function)(sir_context *);

static const engine_function ENGINES[SIR_NUM_ENGINES] = {
    [SIR_ENGINE_AUTO] = sir_engine_auto,
    [SIR_ENGINE_EXHAUSTIVE] = sir_engine_exhaustive,
    [SIR_ENGINE_MAXSCORE] = sir_engine_maxscore,
    [SIR_ENGINE_WAND] = sir_engine_wand,
    [SIR_ENGINE_BLOCK_MAX_WAND] = sir_engine_block_max_wand,
    [SIR_ENGINE_BLOCK_FILTER] = sir_engine_block_filter,
    [SIR_ENGINE_APPROXIMATE] = sir_engine_approximate,
};

/* The lists of the query terms that the segment holds. Every step reads memory nobody has touched at a place that the
 * step before tells: each is taken for all terms before the next, so that the loads overlap. */
static uint32_t find_lists(const sir_segment *s, const sir_workspace *w, uint32_t num_terms) {
    uint32_t count = 0;
    for (uint32_t i = 0; s->lookup != NULL && i < num_terms; i++)
        if (w->terms[i] < s->lookup_size) __builtin_prefetch(&s->lookup[w->terms[i]]);
    for (uint32_t i = 0; i < num_terms; i++) {
        uint32_t at = sir_segment_find(s, w->terms[i]);
        w->term_order[i] = at;
        if (at == SIR_NO_ROW) continue;
        __builtin_prefetch(&s->terms[at]);
        __builtin_prefetch(&s->ladder[16 * (uint64_t)at]);
    }
    for (uint32_t i = 0; i < num_terms; i++) {
        const uint32_t at = (uint32_t)w->term_order[i];
        if (at == SIR_NO_ROW) continue;
        const sir_term *t = &s->terms[at];
        if (t->bound_row != SIR_NO_ROW && !s->compact) {
            __builtin_prefetch(&s->levels[SIR_NUM_LEVELS * (uint64_t)t->bound_row]);
        } else {
            if (!s->compact) __builtin_prefetch(&s->docs[t->postings_start]);
            __builtin_prefetch(&s->impacts[t->postings_start]);
            if (t->cell_shift != SIR_SPARSE) __builtin_prefetch(&s->cells[t->directory_start]);
        }
        w->lists[count++] = sir_list_of(s, at, w->weights[i]);
    }
    return count;
}

/* Initial threshold from the ladders of largest impacts: rank k + deleted of a list scores at least its impact times
 * the query weight, so k live documents do. Under a filter nothing is known about the documents of a ladder. */
static void prime(sir_context *c, uint32_t k, int filtered) {
    if (filtered) return;
    uint64_t rank = (uint64_t)k + c->segment->num_deleted;
    uint32_t step = 0;
    while (((uint64_t)1 << step) < rank) step++;
    if (step >= SIR_LADDER_STEPS) return;
    for (uint32_t i = 0; i < c->num_lists; i++)
        sir_topk_prime(c->top, c->lists[i].weight * c->segment->ladder[16 * (uint64_t)c->lists[i].index + step]);
}

static void search_segments(const sir_index *index, const sir_request *r, sir_workspace *w, uint32_t num_terms,
                            sir_topk *top) {
    sir_stats discarded = {0};
    for (uint32_t i = 0; i < index->num_segments; i++) {
        const sir_segment *s = &index->segments[i];
        const uint64_t *allowed = r->allowed == NULL ? NULL : r->allowed[i];
        sir_context c = {.segment = s,
                         .kernels = index->kernels,
                         .mask = allowed != NULL ? allowed : s->live,
                         .ordinal_shift = (uint32_t)(s->ordinal_base - index->ordinal_min),
                         .lists = w->lists,
                         .workspace = w,
                         .top = top,
                         .stats = r->stats != NULL ? r->stats : &discarded,
                         .bound_factor = r->engine == SIR_ENGINE_APPROXIMATE ? r->bound_factor : 1,
                         .bound_mass = r->bound_mass,
                         .max_blocks = r->engine == SIR_ENGINE_APPROXIMATE && r->max_blocks > 0 ? r->max_blocks : UINT32_MAX};
        c.num_lists = find_lists(s, w, num_terms);
        if (c.num_lists == 0) continue;
        prime(&c, r->k, allowed != NULL);
        c.stats->queries[r->engine]++;
        ENGINES[r->engine](&c);
    }
}

static int check_request(const sir_index *index, const sir_request *r, uint32_t num_terms, sir_workspace *w,
                         sir_error *error) {
    if (r->k == 0 || r->k > 1u << 30)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "k must be 1 .. 2^30, not %" PRIu32, r->k);
    if (r->engine >= SIR_NUM_ENGINES || ENGINES[r->engine] == NULL)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there is no engine %" PRIu32, r->engine);
    if ((index->engines >> r->engine & 1) == 0)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "engine %" PRIu32 " needs maxima of blocks, which a compact segment lacks",
                        r->engine);
    if (r->engine == SIR_ENGINE_APPROXIMATE && !(r->bound_factor >= 1 && r->bound_factor <= 1000))
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "bound_factor must be 1 .. 1000, not %g", r->bound_factor);
    if (r->engine == SIR_ENGINE_APPROXIMATE && !(r->bound_mass > 0 && r->bound_mass <= 1))
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "bound_mass must be above 0 and at most 1, not %g", r->bound_mass);
    if (((uintptr_t)r->workspace & 63) != 0)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "the workspace must start at a multiple of 64");
    uint64_t needed = sir_workspace_layout(index, r->k, num_terms, r->workspace, w);
    if (needed > r->workspace_bytes)
        return sir_fail(error, SIR_ERROR_MEMORY, "", "the workspace has %" PRIu64 " bytes and needs %" PRIu64,
                        r->workspace_bytes, needed);
    return SIR_OK;
}

static int64_t ordinal_of(const sir_index *index, uint64_t key) {
    return (int64_t)(index->ordinal_min + (UINT32_MAX - (uint32_t)key));
}

int sir_search(const sir_index *index, const sir_request *request, const uint32_t *term_ids, const float *weights,
               uint32_t num_terms, int64_t *ordinals, float *scores, sir_error *error) {
    sir_workspace w;
    sir_topk top;
    uint32_t left;
    double query_scale;
    int status = check_request(index, request, num_terms, &w, error);
    if (status == SIR_OK) status = sir_query_prepare(term_ids, weights, num_terms, &w, &left, &query_scale, error);
    if (status != SIR_OK) return status;
    sir_topk_init(&top, w.keys, request->k);
    search_segments(index, request, &w, left, &top);
    uint32_t found = sir_topk_finish(&top);
    for (uint32_t i = 0; i < found; i++) {
        ordinals[i] = ordinal_of(index, top.keys[i]);
        scores[i] = (float)((double)(top.keys[i] >> 32) * index->doc_scale * query_scale);
    }
    for (uint32_t i = found; i < request->k; i++) {
        ordinals[i] = -1;
        scores[i] = -INFINITY;
    }
    return SIR_OK;
}

int sir_search_quantized(const sir_index *index, const sir_request *request, const uint32_t *term_ids,
                         const uint32_t *query_weights, uint32_t num_terms, int64_t *ordinals, uint32_t *scores,
                         sir_error *error) {
    sir_workspace w;
    sir_topk top;
    uint64_t sum = 0;
    int status = check_request(index, request, num_terms, &w, error);
    if (status != SIR_OK) return status;
    for (uint32_t i = 0; i < num_terms; i++) {
        if (query_weights[i] == 0 || query_weights[i] > SIR_MAX_QUERY_WEIGHT)
            return sir_fail(error, SIR_ERROR_ARGUMENT, "", "query weights must be 1 .. 4095, not %" PRIu32, query_weights[i]);
        sum += query_weights[i];
    }
    if (sum * 255 > INT32_MAX)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "query weights add up to %" PRIu64 ": scores could overflow", sum);
    memcpy(w.terms, term_ids, sizeof(uint32_t) * num_terms);
    memcpy(w.weights, query_weights, sizeof(uint32_t) * num_terms);
    sir_topk_init(&top, w.keys, request->k);
    search_segments(index, request, &w, num_terms, &top);
    uint32_t found = sir_topk_finish(&top);
    for (uint32_t i = 0; i < request->k; i++) {
        ordinals[i] = i < found ? ordinal_of(index, top.keys[i]) : -1;
        scores[i] = i < found ? (uint32_t)(top.keys[i] >> 32) : 0;
    }
    return SIR_OK;
}

int sir_search_batch(const sir_index *index, const sir_request *request, const sir_batch *batch, sir_error *error) {
    for (;;) {
        int64_t row = __atomic_fetch_add(batch->next, 1, __ATOMIC_RELAXED);
        if (row >= batch->num_queries) return SIR_OK;
        int64_t first = batch->indptr[row];
        int status = sir_search(index, request, batch->term_ids + first, batch->weights + first,
                                (uint32_t)(batch->indptr[row + 1] - first), batch->ordinals + row * request->k,
                                batch->scores + row * request->k, error);
        if (status != SIR_OK) return status;
    }
}
