/* A query as the engines take it: checked, by descending term id, with integer weights. */
#include <inttypes.h>

#include "engine/engine.h"
#include "engine/quantize.h"

int sir_query_prepare(const uint32_t *term_ids, const float *weights, uint32_t num_terms, sir_workspace *w, uint32_t *num_left,
                      double *query_scale, sir_error *error) {
    uint32_t count = 0;
    *num_left = 0;
    for (uint32_t i = 0; i < num_terms; i++) {
        if (!(weights[i] >= 0 && weights[i] <= 3.402823466e38f))
            return sir_fail(error, SIR_ERROR_ARGUMENT, "",
                            "query term %" PRIu32 " has weight %g; weights must be finite and not negative", term_ids[i],
                            (double)weights[i]);
        if (weights[i] != 0) w->term_order[count++] = (uint64_t)term_ids[i] << 32 | i;
    }
    sir_sort_descending(w->term_order, count);
    for (uint32_t i = 0; i < count; i++) {
        w->terms[i] = (uint32_t)(w->term_order[i] >> 32);
        if (i > 0 && w->terms[i] == w->terms[i - 1])
            return sir_fail(error, SIR_ERROR_ARGUMENT, "", "query term %" PRIu32 " is given twice", w->terms[i]);
    }
    *query_scale = sir_quantize_query(weights, w->term_order, count, w->weights);
    if (*query_scale < 0) return sir_fail(error, SIR_ERROR_ARGUMENT, "", "a query of %" PRIu32 " terms is too long", count);
    *num_left = count;
    return SIR_OK;
}
