/* What the gpu engine does to a batch of queries before it goes to the device: one pass each, where a chain of array
 * operations costs more than the device takes for a single query. */
#include <inttypes.h>

#include "engine/quantize.h"
#include "format/error.h"
#include "sparseir.h"

int sir_quantize_queries(const int64_t *indptr, const float *weights, uint64_t num_queries, int32_t *out, double *scale,
                         sir_error *error) {
    for (uint64_t q = 0; q < num_queries; q++) {
        const uint64_t begin = (uint64_t)indptr[q], count = (uint64_t)indptr[q + 1] - begin;
        scale[q] = sir_quantize_query(weights + begin, NULL, count, (uint32_t *)(out + begin));
        if (scale[q] < 0) return sir_fail(error, SIR_ERROR_ARGUMENT, "", "a query of %" PRIu64 " terms is too long", count);
    }
    return SIR_OK;
}

/* The place of `id` among ascending distinct ids, or where it would be. Of the ids below it at most `missing` are not there,
 * so that its place is between id - missing and id; a segment lacks few terms of its vocabulary. No branch to mispredict. */
static uint64_t row_of(const uint32_t *ids, uint64_t count, uint64_t missing, uint32_t id) {
    const uint64_t high = id < count ? id : count - 1;
    uint64_t low = id > missing ? id - missing : 0;

    if (low > high) return high;
    for (uint64_t left = high - low + 1; left > 1;) {
        const uint64_t half = left / 2;
        low += ids[low + half - 1] < id ? half : 0;
        left -= half;
    }
    return low;
}

uint64_t sir_resolve_queries(const sir_query_rows *in, const uint32_t *term_ids, uint64_t num_terms, sir_query_rows *out) {
    const uint64_t missing = num_terms ? term_ids[num_terms - 1] - (num_terms - 1) : 0;
    uint64_t kept = 0;

    out->indptr[0] = 0;
    for (uint64_t q = 0; q < in->num_queries; q++) {
        for (int64_t i = in->indptr[q]; i < in->indptr[q + 1]; i++) {
            const uint64_t row = num_terms ? row_of(term_ids, num_terms, missing, in->ids[i]) : 0;
            if (row < num_terms && term_ids[row] == in->ids[i]) {
                out->ids[kept] = (uint32_t)row;
                out->weights[kept++] = in->weights[i];
            }
        }
        out->indptr[q + 1] = (int64_t)kept;
    }
    return kept;
}

void sir_initial_thresholds(const sir_query_rows *rows, const uint8_t *ladder, uint32_t step, int32_t *thresholds) {
    for (uint64_t q = 0; q < rows->num_queries; q++)
        for (int64_t i = rows->indptr[q]; i < rows->indptr[q + 1]; i++) {
            const int32_t sure = rows->weights[i] * ladder[16 * (uint64_t)rows->ids[i] + step];
            thresholds[q] = sure > thresholds[q] ? sure : thresholds[q];
        }
}
