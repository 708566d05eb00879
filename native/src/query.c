/* From float query weights to the integers of tests/oracle.py. */
#include <inttypes.h>

#include "engine.h"
#include "quantize.h"

enum { MAX_IMPACT = 255 };

/* Integer weights with the given limit; returns their sum. */
static uint64_t quantize(const double scale, const float *weights, const uint64_t *order, uint32_t count,
                         uint32_t limit, uint32_t *out) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        out[i] = (uint32_t)sir_query_level(weights[(uint32_t)order[i]], scale, limit);
        sum += out[i];
    }
    return sum;
}

int sir_query_prepare(const uint32_t *term_ids, const float *weights, uint32_t num_terms, sir_workspace *w,
                      uint32_t *num_left, double *query_scale, sir_error *error) {
    uint32_t count = 0;
    float largest = 0;
    *num_left = 0;
    *query_scale = 0;
    for (uint32_t i = 0; i < num_terms; i++) {
        if (!(weights[i] >= 0 && weights[i] <= 3.402823466e38f))
            return sir_fail(error, SIR_ERROR_ARGUMENT, "",
                            "query term %" PRIu32 " has weight %g; weights must be finite and not negative",
                            term_ids[i], (double)weights[i]);
        if (weights[i] == 0) continue;
        largest = weights[i] > largest ? weights[i] : largest;
        w->term_order[count++] = (uint64_t)term_ids[i] << 32 | i;
    }
    if (count == 0) return SIR_OK;
    sir_sort_descending(w->term_order, count);
    for (uint32_t i = 0; i < count; i++) {
        w->terms[i] = (uint32_t)(w->term_order[i] >> 32);
        if (i > 0 && w->terms[i] == w->terms[i - 1])
            return sir_fail(error, SIR_ERROR_ARGUMENT, "", "query term %" PRIu32 " is given twice", w->terms[i]);
    }
    uint32_t limit = SIR_MAX_QUERY_WEIGHT;
    *query_scale = (double)largest / limit;
    if (quantize(*query_scale, weights, w->term_order, count, limit, w->weights) * MAX_IMPACT > INT32_MAX) {
        limit = (uint32_t)(INT32_MAX / ((uint64_t)MAX_IMPACT * count));
        if (limit == 0)
            return sir_fail(error, SIR_ERROR_ARGUMENT, "", "a query of %" PRIu32 " terms is too long", count);
        *query_scale = (double)largest / limit;
        quantize(*query_scale, weights, w->term_order, count, limit, w->weights);
    }
    *num_left = count;
    return SIR_OK;
}
