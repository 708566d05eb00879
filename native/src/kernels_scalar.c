/* The reference kernels: plain C, what every other instruction set must equal to the bit. */
#include <string.h>

#include "block_filter.h"

/* accumulator[docs[i]] += weight * impacts[i] */
static void scatter(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count,
                    uint32_t weight) {
    for (uint32_t i = 0; i < count; i++) accumulator[docs[i]] += weight * impacts[i];
}

/* Positions of the accumulators >= floor whose bit is set in mask (NULL: all), ascending; returns how many. floor > 0.
 * Positions has room for count + 64, and the accumulators may be read up to the next multiple of 64. */
static uint32_t collect(const uint32_t *accumulator, uint32_t count, uint32_t floor, const uint64_t *mask,
                        uint32_t *positions) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        positions[found] = i; /* written always, kept when it counts: no branch to mispredict */
        found += accumulator[i] >= floor && (mask == NULL || (mask[i / 64] >> (i % 64) & 1) != 0);
    }
    return found;
}

/* accumulator[d] = sum over the terms of weight * impact, for num_groups groups of 64 documents; the cursors move on. */
static void bitmap_scores(uint32_t *accumulator, uint32_t num_groups, sir_bitmap_cursor *terms, uint32_t num_terms) {
    memset(accumulator, 0, sizeof(uint32_t) * 64 * num_groups);
    for (uint32_t t = 0; t < num_terms; t++) {
        const uint32_t shift = 8 * (t % 4), first = t - t % 4;
        const uint32_t weight = (terms[first].low_weights >> shift & 0x7F) | (terms[first].high_weights >> shift & 0x1F) << 7;
        const uint8_t *impacts = terms[t].impacts;
        for (uint32_t group = 0; weight != 0 && group < num_groups; group++) {
            uint64_t present = terms[t].bits[group];
            for (; present != 0 && impacts < terms[t].end; present &= present - 1)
                accumulator[64 * group + (uint32_t)__builtin_ctzll(present)] += weight * *impacts++;
        }
        terms[t].impacts = impacts;
    }
}

/* bounds[64 s + i] = short_bounds + contribution of every row's level of block i of superblock s; super_bounds[s] = their
 * largest. The sums fit 16 bits by the choice of the unit. */
static void block_bounds(sir_block_filter *f, uint32_t num_supers) {
    memcpy(f->bounds, f->short_bounds, sizeof *f->bounds * SIR_SUPER_BLOCKS * num_supers);
    for (uint32_t super = 0; super < num_supers; super++) {
        uint16_t *out = f->bounds + (uint64_t)SIR_SUPER_BLOCKS * super, largest = 0;
        for (uint32_t r = 0; r < f->num_rows; r++) {
            const uint8_t *nibbles = f->rows[r].nibbles + 32 * (uint64_t)super;
            for (uint32_t i = 0; i < 32; i++) {
                out[i] = (uint16_t)(out[i] + f->rows[r].contribution[nibbles[i] & 15]);
                out[i + 32] = (uint16_t)(out[i + 32] + f->rows[r].contribution[nibbles[i] >> 4]);
            }
        }
        for (uint32_t i = 0; i < SIR_SUPER_BLOCKS; i++) largest = out[i] > largest ? out[i] : largest;
        f->super_bounds[super] = largest;
    }
}

/* Positions of the bounds >= floor, ascending; returns how many. floor > 0. */
static uint32_t collect_bounds(const uint16_t *bounds, uint32_t count, uint32_t floor, uint32_t *positions) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        positions[found] = i;
        found += bounds[i] >= floor;
    }
    return found;
}

/* Largest of a block's 32 scores. */
static uint32_t block_largest(const uint32_t *scores) {
    uint32_t largest = 0;
    for (uint32_t i = 0; i < SIR_BLOCK_DOCS; i++) largest = scores[i] > largest ? scores[i] : largest;
    return largest;
}

static inline void add_present(uint32_t *accumulator, uint32_t present, const uint8_t *impacts, uint32_t weight) {
    for (; present != 0; present &= present - 1) accumulator[__builtin_ctz(present)] += weight * *impacts++;
}

static inline uint32_t add_range(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count,
                                 uint16_t base, uint32_t weight) {
    uint32_t added = 0;
    for (uint32_t i = 0; i < count; i++) {
        if ((docs[i] & ~(SIR_BLOCK_DOCS - 1)) != base) continue;
        accumulator[docs[i] & (SIR_BLOCK_DOCS - 1)] += weight * impacts[i];
        added++;
    }
    return added;
}

#define TARGET
#include "block_score.h"

const sir_kernels sir_kernels_scalar = {SIR_ISA_SCALAR, scatter,        collect,       bitmap_scores,
                                        block_bounds,   collect_bounds, block_largest, score_tasks};
