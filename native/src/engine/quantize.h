/* Integer query weights from float ones: the arithmetic of tests/oracle.py, in one place. */
#ifndef SIR_QUANTIZE_H
#define SIR_QUANTIZE_H

#include <stdint.h>

enum { SIR_MAX_QUERY_WEIGHT = 4095 };

/* Quantises the `count` weights of one query, positive and finite, into out: floor(weight / scale + 1/2) clipped to 1..limit, in
 * float64, with scale = largest weight / limit. limit is 4,095, or what keeps the sum of weight * 255, which bounds every score,
 * below 2^31. out[i] is of weights[i], or of weights[low half of order[i]] where order is given. Returns the scale; 0 for an empty
 * query, and below 0 for one so long that no limit would do. */
double sir_quantize_query(const float *weights, const uint64_t *order, uint64_t count, uint32_t *out);

#endif
