/* Pieces of block_score.h in plain C, for the kernels that have nothing faster: scalar and NEON. */
#ifndef SIR_BLOCK_PLAIN_H
#define SIR_BLOCK_PLAIN_H

#include "pruning/block_filter.h"

static inline void add_present(uint32_t *accumulator, uint32_t present, const uint8_t *impacts, uint32_t weight) {
    for (; present != 0; present &= present - 1) accumulator[__builtin_ctz(present)] += weight * *impacts++;
}

static inline uint32_t add_lows(uint32_t *accumulator, const uint8_t *lows, const uint8_t *impacts, uint32_t count, uint16_t base,
                                uint32_t weight) {
    const uint32_t block = base & 255;
    uint32_t added = 0;
    for (uint32_t i = 0; i < count; i++) {
        if ((lows[i] & ~(uint32_t)(SIR_BLOCK_DOCS - 1)) != block) continue;
        accumulator[lows[i] & (SIR_BLOCK_DOCS - 1)] += weight * impacts[i];
        added++;
    }
    return added;
}

/* Place of the set bit number n of a word, from 0. */
static inline uint32_t select_bit(uint64_t word, uint32_t n) {
    while (n-- > 0) word &= word - 1;
    return (uint32_t)__builtin_ctzll(word);
}

#endif
