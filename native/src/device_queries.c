/* What the gpu engine does to a batch of queries before it goes to the device: one pass each, where a chain of array
 * operations costs more than the device takes for a single query. */
#include "engine.h"
#include "quantize.h"

enum { MAX_IMPACT = 255 };

static int64_t round_weights(const float *weights, uint64_t count, double scale, int64_t limit, int32_t *out)
{
    int64_t sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += out[i] = (int32_t)sir_query_level(weights[i], scale, limit);
    return sum;
}

void sir_quantize_queries(const int64_t *indptr, const float *weights, uint64_t num_queries, int32_t *out, double *scale)
{
    for (uint64_t q = 0; q < num_queries; q++) {
        const uint64_t begin = (uint64_t)indptr[q], count = (uint64_t)indptr[q + 1] - begin;
        int64_t limit = SIR_MAX_QUERY_WEIGHT;
        float largest = 0;

        scale[q] = 0;
        if (count == 0)
            continue;
        for (uint64_t i = 0; i < count; i++)
            largest = weights[begin + i] > largest ? weights[begin + i] : largest;
        scale[q] = (double)largest / (double)limit;
        if (round_weights(weights + begin, count, scale[q], limit, out + begin) * MAX_IMPACT > INT32_MAX) {
            limit = (int64_t)(INT32_MAX / ((uint64_t)MAX_IMPACT * count));
            scale[q] = (double)largest / (double)limit;
            round_weights(weights + begin, count, scale[q], limit, out + begin);
        }
    }
}

/* The place of `id` among ascending distinct ids, or where it would be. Of the ids below it at most `missing` are not there,
 * so it stands between id - missing and id; a segment lacks few terms of its vocabulary. No branch to mispredict. */
static uint64_t row_of(const uint32_t *ids, uint64_t count, uint64_t missing, uint32_t id)
{
    const uint64_t high = id < count ? id : count - 1;
    uint64_t low = id > missing ? id - missing : 0;

    if (low > high)
        return high;
    for (uint64_t left = high - low + 1; left > 1;) {
        const uint64_t half = left / 2;
        low += ids[low + half - 1] < id ? half : 0;
        left -= half;
    }
    return low;
}

uint64_t sir_resolve_queries(const sir_query_rows *in, const uint32_t *term_ids, uint64_t num_terms, sir_query_rows *out)
{
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

void sir_initial_thresholds(const sir_query_rows *rows, const uint8_t *ladder, uint32_t step, int32_t *thresholds)
{
    for (uint64_t q = 0; q < rows->num_queries; q++)
        for (int64_t i = rows->indptr[q]; i < rows->indptr[q + 1]; i++) {
            const int32_t sure = rows->weights[i] * ladder[16 * (uint64_t)rows->ids[i] + step];
            thresholds[q] = sure > thresholds[q] ? sure : thresholds[q];
        }
}
