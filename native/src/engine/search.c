/* One query over all segments of an index: prepare, search each segment with the threshold carried on, write the hits. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "pruning/block_filter.h"
#include "engine/quantize.h"

typedef struct {
    void (*all)(sir_context *, uint32_t);
    void (*each)(sir_context *);
} engine_functions;

/* Approximate search is the block filter with what the context asks of it: see bound_factor and max_blocks of
 * sir_request. What is passed over beyond the exact filter may hold hits. */
static const engine_functions ENGINES[SIR_NUM_ENGINES] = {
    [SIR_ENGINE_AUTO] = {.all = sir_engine_auto},
    [SIR_ENGINE_EXHAUSTIVE] = {.each = sir_engine_exhaustive},
    [SIR_ENGINE_MAXSCORE] = {.each = sir_engine_maxscore},
    [SIR_ENGINE_WAND] = {.each = sir_engine_wand},
    [SIR_ENGINE_BLOCK_MAX_WAND] = {.each = sir_engine_block_max_wand},
    [SIR_ENGINE_BLOCK_FILTER] = {.all = sir_engine_block_filter},
    [SIR_ENGINE_APPROXIMATE] = {.all = sir_engine_approximate},
};

/* Finding a query's lists reads memory that is in no cache, in three steps each of which tells the next where to read. Each step is
 * taken for all terms of all segments before the next, so that the loads overlap. First: the look-up tables. */
static void prefetch_lookups(const sir_index *index, const sir_workspace *w, uint32_t num_terms) {
    for (uint32_t i = 0; i < index->num_segments; i++) {
        const sir_segment *s = &index->segments[i];
        for (uint32_t t = 0; s->lookup != NULL && t < num_terms; t++)
            if (w->terms[t] < s->lookup_size) __builtin_prefetch(&s->lookup[w->terms[t]]);
    }
}

/* Second: the records of the query's terms that the segment holds, and the ladders of the heaviest; returns how many these are.
 * Until lists are opened, `start` is the number of the term in the query. */
static uint32_t find_terms(const sir_segment *s, const sir_workspace *w, uint32_t num_terms, sir_list *lists) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < num_terms; i++) {
        const uint32_t at = sir_segment_find(s, w->terms[i]);
        if (at == SIR_NO_ROW) continue;
        __builtin_prefetch(&s->terms[at]);
        if (count < SIR_PRIMED_TERMS) __builtin_prefetch(&s->ladder[16 * (uint64_t)at]);
        lists[count++] = (sir_list){.index = at, .weight = w->weights[i], .start = i};
    }
    return count;
}

/* Third: where their postings are. */
static void open_lists(const sir_segment *s, sir_list *lists, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        lists[i] = sir_list_of(s, lists[i].index, lists[i].weight);
        const sir_term *t = lists[i].term;
        if (t->bound_row != SIR_NO_ROW && !s->without_blocks) {
            __builtin_prefetch(&s->levels[SIR_NUM_LEVELS * (uint64_t)t->bound_row]);
        } else {
            __builtin_prefetch(s->packed ? (const void *)lists[i].doc_bits : lists[i].docs);
            __builtin_prefetch(lists[i].impacts);
            if (t->cell_shift != SIR_SPARSE) __builtin_prefetch(&s->cells[t->directory_start]);
        }
    }
}

void sir_search_each(sir_context *segments, uint32_t num_segments, void (*engine)(sir_context *)) {
    for (uint32_t i = 0; i < num_segments; i++) {
        const sir_context *c = &segments[i];
        uint64_t most = 0;
        for (uint32_t l = 0; l < c->num_lists; l++) most += c->lists[l].weight * (uint64_t)c->lists[l].term->list_max;
        if (most >= sir_topk_floor(c->top)) engine(&segments[i]);
    }
}

/* The search in each segment that holds a term of the query; returns how many those are. */
static uint32_t make_contexts(const sir_index *index, const sir_request *r, sir_workspace *w, uint32_t num_terms, sir_topk *top,
                              sir_stats *stats) {
    const int approximate = r->engine == SIR_ENGINE_APPROXIMATE && r->allowed == NULL;
    uint32_t count = 0;
    prefetch_lookups(index, w, num_terms);
    for (uint32_t i = 0; i < index->num_segments; i++) {
        const sir_segment *s = &index->segments[i];
        const uint64_t *allowed = r->allowed == NULL ? NULL : r->allowed[i];
        sir_context *c = &w->contexts[count];
        sir_list *lists = w->lists + (uint64_t)count * num_terms;
        *c = (sir_context){.segment = s,
                           .kernels = index->kernels,
                           .mask = allowed != NULL ? allowed : s->live,
                           .ordinal_shift = (uint32_t)(s->ordinal_base - index->ordinal_min),
                           .num_lists = find_terms(s, w, num_terms, lists),
                           .lists = lists,
                           .filter = &w->filters[i],
                           .workspace = w,
                           .top = top,
                           .stats = stats,
                           .bound_factor = approximate ? r->bound_factor : 1,
                           .bound_mass = r->bound_mass,
                           .blocks_left = approximate && r->max_blocks > 0 ? r->max_blocks : UINT32_MAX};
        count += c->num_lists > 0;
    }
    sir_prime(w->contexts, count, r->k);
    for (uint32_t i = 0; i < count; i++) {
        open_lists(w->contexts[i].segment, w->contexts[i].lists, w->contexts[i].num_lists);
        if (i + 1 < count) w->contexts[i].next = &w->contexts[i + 1];
    }
    return count;
}

/* Heaviest terms first. Every segment's lists are then nearly in the order that engines sort them to, and the ladders that are worth
 * reading are those of the first. */
static void sort_terms(sir_workspace *w, uint32_t num_terms) {
    for (uint32_t i = 0; i < num_terms; i++) w->term_order[i] = (uint64_t)w->weights[i] << 32 | w->terms[i];
    sir_sort_descending(w->term_order, num_terms);
    for (uint32_t i = 0; i < num_terms; i++) {
        w->terms[i] = (uint32_t)w->term_order[i];
        w->weights[i] = (uint32_t)(w->term_order[i] >> 32);
    }
}

static void search_segments(const sir_index *index, const sir_request *r, sir_workspace *w, uint32_t num_terms, sir_topk *top) {
    sir_stats discarded = {0}, *stats = r->stats != NULL ? r->stats : &discarded;
    /* What approximate search loses is measured without a filter: with one, the answer is exact. */
    const uint32_t engine = r->engine == SIR_ENGINE_APPROXIMATE && r->allowed != NULL ? SIR_ENGINE_AUTO : r->engine;
    sort_terms(w, num_terms);
    const uint32_t count = make_contexts(index, r, w, num_terms, top, stats);
    if (count == 0) return;
    if (ENGINES[engine].all != NULL)
        ENGINES[engine].all(w->contexts, count);
    else
        sir_search_each(w->contexts, count, ENGINES[engine].each);
}

static int check_request(const sir_index *index, const sir_request *r, uint32_t num_terms, sir_workspace *w, sir_error *error) {
    if (r->k == 0 || r->k > 1u << 30) return sir_fail(error, SIR_ERROR_ARGUMENT, "", "k must be 1 .. 2^30, not %" PRIu32, r->k);
    if (r->engine >= SIR_NUM_ENGINES) return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there is no engine %" PRIu32, r->engine);
    if ((index->engines >> r->engine & 1) == 0)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "engine %" PRIu32 " needs maxima of blocks, which a compact segment lacks",
                        r->engine);
    if (r->engine == SIR_ENGINE_APPROXIMATE && !(r->bound_factor >= 1 && r->bound_factor <= 1000))
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "bound_factor must be 1 .. 1000, not %g", r->bound_factor);
    if (r->engine == SIR_ENGINE_APPROXIMATE && !(r->bound_mass > 0 && r->bound_mass <= 1))
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "bound_mass must be above 0 and at most 1, not %g", r->bound_mass);
    if (((uintptr_t)r->workspace & 63) != 0)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "the workspace must start at a multiple of 64");
    const uint64_t needed = sir_workspace_bytes(index, r->k, num_terms);
    if (needed > r->workspace_bytes)
        return sir_fail(error, SIR_ERROR_MEMORY, "", "the workspace has %" PRIu64 " bytes and needs %" PRIu64, r->workspace_bytes,
                        needed);
    sir_workspace_layout(index, r->k, num_terms, r->workspace, w);
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
                         const uint32_t *query_weights, uint32_t num_terms, int64_t *ordinals, uint32_t *scores, sir_error *error) {
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
        int status =
            sir_search(index, request, batch->term_ids + first, batch->weights + first, (uint32_t)(batch->indptr[row + 1] - first),
                       batch->ordinals + row * request->k, batch->scores + row * request->k, error);
        if (status != SIR_OK) return status;
    }
}
