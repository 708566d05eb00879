#include "engine/quantize.h"

#include <math.h>
#include <stddef.h>

enum { MAX_IMPACT = 255 };

/* Integer weights with the given limit; returns their sum. */
static uint64_t round_weights(const float *weights, const uint64_t *order, uint64_t count, double scale, uint64_t limit,
                              uint32_t *out) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        const double level = floor((double)weights[order == NULL ? i : (uint32_t)order[i]] / scale + 0.5);
        out[i] = level < 1 ? 1 : level > (double)limit ? (uint32_t)limit : (uint32_t)level;
        sum += out[i];
    }
    return sum;
}

double sir_quantize_query(const float *weights, const uint64_t *order, uint64_t count, uint32_t *out) {
    uint64_t limit = SIR_MAX_QUERY_WEIGHT;
    float largest = 0;
    for (uint64_t i = 0; i < count; i++) {
        const float weight = weights[order == NULL ? i : (uint32_t)order[i]];
        largest = weight > largest ? weight : largest;
    }
    double scale = (double)largest / (double)limit;
    if (count == 0 || round_weights(weights, order, count, scale, limit, out) * MAX_IMPACT <= INT32_MAX) return scale;
    limit = INT32_MAX / (MAX_IMPACT * count);
    if (limit == 0) return -1;
    scale = (double)largest / (double)limit;
    round_weights(weights, order, count, scale, limit, out);
    return scale;
}
