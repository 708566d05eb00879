/* Stored impacts from float weights: the arithmetic in one place. */
#ifndef SIR_IMPACT_H
#define SIR_IMPACT_H

#include <stdint.h>

/* floor(weight / scale + 1/2) clipped to 1..255, in float64: weights are positive, so that cutting the fraction off is
 * the floor. Adds 1 to *clipped where the unclipped value is above 255. */
static inline uint8_t sir_impact(float weight, double scale, uint64_t *clipped) {
    double level = (double)weight / scale + 0.5;
    *clipped += level >= 256.0;
    level = level < 255.0 ? level : 255.0;
    uint32_t impact = (uint32_t)level;
    return (uint8_t)(impact ? impact : 1);
}

#endif
