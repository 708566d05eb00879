/* Block filtering: bounds of all blocks, then exact scores of the blocks that can hold a hit. */
#ifndef SIR_BLOCK_H
#define SIR_BLOCK_H

#include "engine/engine.h"

enum {
    SIR_BATCH_SLOTS = 256, /* blocks scored together: their accumulators, 32 KB, stay in the first-level cache */
    SIR_PHASE_LISTS = 32,  /* lists scored between two checks, at most */
    SIR_PIPELINE = 36      /* tasks between the first prefetch and the use, a multiple of 3 */
};

/* A list with a bound row: its nibbles and what each level contributes to a block's bound, in units, rounded up. */
typedef struct sir_bound_row {
    const uint8_t *nibbles; /* 32 bytes a superblock */
    uint16_t contribution[SIR_NUM_LEVELS];
} sir_bound_row;

/* One list in one block: the unit of exact work. */
typedef struct sir_block_task {
    uint16_t slot, list;
} sir_block_task;

/* Blocks being scored. accumulators[32 * slot + i] belongs to document 32 * blocks[slot] + i. */
typedef struct sir_block_batch {
    const sir_segment *segment;
    const sir_list *lists;
    const uint32_t *blocks;
    uint32_t *accumulators;
    uint64_t postings; /* products added */
} sir_block_batch;

/* Where a list's postings of one block are: among `count` postings, or in the bits of `present`. */
typedef struct sir_block_range {
    const uint16_t *docs; /* NULL without lows: `present` says which documents of the block hold the term */
    const uint8_t *lows;  /* not NULL: lowest bytes of the doc_ids in the block's bucket of 256 documents */
    const uint8_t *impacts;
    uint32_t count, present, slot, weight;
    uint16_t base; /* first document of the block, modulo 65,536 */
} sir_block_range;

static inline uint32_t sir_min(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t sir_max(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* Level of a block in a row of nibbles. */
static inline uint32_t sir_block_level(const uint8_t *nibbles, uint32_t block) {
    uint32_t byte = nibbles[(uint64_t)(block >> 6) * 32 + (block & 31)];
    return byte >> (block >> 3 & 4) & 15; /* half of all blocks are in high nibbles; the processor could not predict a branch */
}

/* What an impact contributes to a bound, in units, rounded up: scale is floor(256 * weight / unit) + 1, so that the product
 * never falls short. */
static inline uint16_t sir_units(uint32_t impact, uint32_t scale) {
    return impact == 0 ? 0 : (uint16_t)((impact * scale >> 8) + 1);
}

#endif
