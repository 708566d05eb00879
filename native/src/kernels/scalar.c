/* The reference kernels: plain C, what every other instruction set must equal to the bit. */
#include <string.h>

#include "pruning/block_filter.h"
#include "kernels/block_plain.h"

/* accumulator[docs[i]] += weight * impacts[i] */
void sir_scatter_scalar(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count, uint32_t weight) {
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        accumulator[docs[i]] += weight * impacts[i];
        accumulator[docs[i + 1]] += weight * impacts[i + 1];
        accumulator[docs[i + 2]] += weight * impacts[i + 2];
        accumulator[docs[i + 3]] += weight * impacts[i + 3];
    }
    for (; i < count; i++) accumulator[docs[i]] += weight * impacts[i];
}

/* Positions of the accumulators >= floor whose bit is set in mask (NULL: all), ascending; returns how many. floor > 0.
 * Positions has room for count + 64, and the accumulators may be read up to the next multiple of 64. */
static uint32_t collect(const uint32_t *accumulator, uint32_t count, uint32_t floor, const uint64_t *mask, uint32_t *positions) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        positions[found] = i; /* written always, kept when it counts: no branch to mispredict */
        found += accumulator[i] >= floor && (mask == NULL || (mask[i / 64] >> (i % 64) & 1) != 0);
    }
    return found;
}

/* For each block of the window that holds postings list->start .. list->end - 1: bounds[block] += their largest
 * contribution, and the list's bit is set in lists[block]. */
void sir_add_block_maxima_scalar(const sir_list *list, uint8_t bit, uint32_t scale, uint16_t *bounds, uint8_t *lists) {
    uint32_t last_block = UINT32_MAX, last = 0;
    for (uint32_t i = list->start; i < list->end; i++) {
        const uint32_t block = list->docs[i] >> SIR_BLOCK_SHIFT;
        /* Of a run in one block the first adds all, and another what it exceeds the largest before by. All bits or none
         * instead of a branch: neighbours share a block too irregularly to be predicted. */
        const uint32_t before = last & (0 - (uint32_t)(block == last_block));
        last = sir_max(sir_units(list->impacts[i], scale), before);
        last_block = block;
        bounds[block] = (uint16_t)(bounds[block] + last - before);
        lists[block] |= bit;
    }
}

/* Bit b of blocks (64 a word) is set where mask allows a document of block b. */
void sir_allowed_blocks_scalar(const uint64_t *mask, uint32_t num_docs, uint64_t *blocks) {
    const uint32_t words = num_docs / 64 + (num_docs % 64 > 0);
    for (uint32_t first = 0; first < words; first += 32) {
        uint64_t bits = 0;
        for (uint32_t i = 0; i < 32 && first + i < words; i++) {
            bits |= (uint64_t)((uint32_t)mask[first + i] != 0) << (2 * i);
            bits |= (uint64_t)(mask[first + i] >> 32 != 0) << (2 * i + 1);
        }
        blocks[first / 32] = bits;
    }
}

/* For each superblock s of f->supers: bounds[64 s + i] = short_bounds + contribution of every row's level of block i;
 * super_bounds[s] = their largest. The sums fit 16 bits by the choice of the unit. */
static void block_bounds(sir_block_filter *f) {
    for (uint32_t s = 0; s < f->num_supers; s++) {
        const uint32_t super = f->supers[s];
        uint16_t *out = f->bounds + (uint64_t)SIR_SUPER_BLOCKS * super, largest = 0;
        memcpy(out, f->short_bounds + (uint64_t)SIR_SUPER_BLOCKS * super, sizeof *out * SIR_SUPER_BLOCKS);
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

/* Positions of the bounds >= floor whose bit is set in allowed (NULL: all), ascending; returns how many. floor > 0. */
static uint32_t collect_bounds(const uint16_t *bounds, uint32_t count, uint32_t floor, const uint64_t *allowed,
                               uint32_t *positions) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        positions[found] = i;
        found += bounds[i] >= floor && (allowed == NULL || (allowed[i / 64] >> (i % 64) & 1) != 0);
    }
    return found;
}

/* Largest of the scores of a block's allowed documents; 0 without any. */
static uint32_t block_largest(const uint32_t *scores, uint32_t allowed) {
    uint32_t largest = 0;
    for (; allowed != 0; allowed &= allowed - 1) largest = sir_max(largest, scores[__builtin_ctz(allowed)]);
    return largest;
}

uint32_t sir_unpack_bitmap_scalar(const uint64_t *bits, uint64_t num_words, uint64_t bit, uint32_t count, uint16_t *out) {
    uint32_t found = 0;
    uint64_t keep = UINT64_MAX << (bit % 64);
    for (uint64_t w = bit / 64; w < num_words && found < count; w++, keep = UINT64_MAX)
        for (uint64_t word = bits[w] & keep; word != 0 && found < count; word &= word - 1)
            out[found++] = (uint16_t)(64 * w + (uint32_t)__builtin_ctzll(word));
    return found;
}

/* The 1 of posting i, at bit b, lies in bucket b - i: of the b bits before it, i are postings and each other one ends a bucket. */
uint32_t sir_unpack_buckets_scalar(const uint64_t *bits, uint64_t num_words, uint64_t bit, sir_packed_run run, uint16_t *out) {
    uint32_t found = 0;
    uint64_t keep = UINT64_MAX << (bit % 64);
    for (uint64_t w = bit / 64; w < num_words && found < run.count; w++, keep = UINT64_MAX) {
        for (uint64_t word = bits[w] & keep; word != 0 && found < run.count; word &= word - 1) {
            const uint32_t bucket = (uint32_t)(64 * w) + (uint32_t)__builtin_ctzll(word) - run.start - found;
            out[found] = (uint16_t)(bucket << SIR_BUCKET_SHIFT | run.lows[found]);
            found++;
        }
    }
    return found;
}

static inline uint32_t add_range(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count, uint16_t base,
                                 uint32_t weight) {
    uint32_t added = 0;
    for (uint32_t i = 0; i < count; i++) {
        if ((docs[i] & ~(SIR_BLOCK_DOCS - 1)) != base) continue;
        accumulator[docs[i] & (SIR_BLOCK_DOCS - 1)] += weight * impacts[i];
        added++;
    }
    return added;
}

#define TARGET
#include "kernels/block_score.h"

const sir_kernels sir_kernels_scalar = {
    .isa = SIR_ISA_SCALAR,
    .scatter = sir_scatter_scalar,
    .collect = collect,
    .add_block_maxima = sir_add_block_maxima_scalar,
    .allowed_blocks = sir_allowed_blocks_scalar,
    .block_bounds = block_bounds,
    .collect_bounds = collect_bounds,
    .block_largest = block_largest,
    .score_tasks = score_tasks,
    .unpack_bitmap = sir_unpack_bitmap_scalar,
    .unpack_buckets = sir_unpack_buckets_scalar,
};
