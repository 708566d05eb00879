/* The reference kernels: plain C, what every other instruction set must equal to the bit. */
#include "engine.h"

/* accumulator[docs[i]] += weight * impacts[i] */
static void scatter(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count,
                    uint32_t weight) {
    for (uint32_t i = 0; i < count; i++) accumulator[docs[i]] += weight * impacts[i];
}

/* Positions of the accumulators >= floor, ascending; returns how many. floor > 0. */
static uint32_t collect(const uint32_t *accumulator, uint32_t count, uint32_t floor, uint32_t *positions) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        positions[found] = i; /* written always, kept when it counts: no branch to mispredict */
        found += accumulator[i] >= floor;
    }
    return found;
}

const sir_kernels sir_kernels_scalar = {SIR_ISA_SCALAR, scatter, collect};
