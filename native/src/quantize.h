/* The arithmetic of impacts, in one place. */
#ifndef SIR_QUANTIZE_H
#define SIR_QUANTIZE_H

#include <math.h>
#include <stdint.h>

/* floor(weight / scale + 1/2) clipped to 1..255, in float64: weights are positive, so that cutting the fraction off is
 * the floor. Adds 1 to *clipped where the unclipped value is above 255. */
static inline uint8_t sir_impact(float weight, double scale, uint64_t *clipped)
{
    double level = (double)weight / scale + 0.5;
    *clipped += level >= 256.0;
    level = level < 255.0 ? level : 255.0;
    uint32_t impact = (uint32_t)level;
    return (uint8_t)(impact ? impact : 1);
}

/* floor(weight / scale + 1/2) clipped to 1..limit, in float64. */
static inline int64_t sir_query_level(float weight, double scale, int64_t limit)
{
    const double level = floor((double)weight / scale + 0.5);
    return level < 1 ? 1 : level > (double)limit ? limit : (int64_t)level;
}

#endif
