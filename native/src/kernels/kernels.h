/* The inner loops that are compiled once for each instruction set. */
#ifndef SIR_KERNELS_H
#define SIR_KERNELS_H

#include "sparseir.h"

struct sir_list;
struct sir_block_batch;
struct sir_block_task;
struct sir_block_filter;

/* Where scoring has come to in the bitmap of a term. Terms are scored in fours; a missing one repeats another with weight 0. */
typedef struct sir_bitmap_cursor {
    const uint64_t *bits;   /* of the first group of 64 documents */
    const uint8_t *impacts; /* of the next posting */
    const uint8_t *end;     /* one past the term's last posting */
    uint32_t low_weights;   /* in the first of four: byte i is the weight's low 7 bits of the i-th of the four */
    uint32_t high_weights;  /* byte i is its high 5 bits */
} sir_bitmap_cursor;

/* Postings of a packed list (see packed.h): their lowest doc_id bytes, the number of the first, and how many. */
typedef struct sir_packed_run {
    const uint8_t *lows;
    uint32_t start, count;
} sir_packed_run;

/* Inner loops with one version per instruction set; the scalar ones in kernels_scalar.c say what each computes. */
typedef struct sir_kernels {
    uint32_t isa;
    void (*scatter)(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count, uint32_t weight);
    uint32_t (*collect)(const uint32_t *accumulator, uint32_t count, uint32_t floor, const uint64_t *mask, uint32_t *positions);
    /* accumulator[d] = sum over the terms of weight * impact, for num_groups groups of 64 documents; the cursors move on.
     * Groups without a bit in mask (NULL: none) may be left as they are. NULL where the instruction set cannot expand
     * bytes: the caller scatters instead. */
    void (*bitmap_scores)(uint32_t *accumulator, uint32_t num_groups, const uint64_t *mask, sir_bitmap_cursor *terms,
                          uint32_t num_terms);
    void (*add_block_maxima)(const struct sir_list *list, uint8_t bit, uint32_t scale, uint16_t *bounds, uint8_t *lists);
    void (*allowed_blocks)(const uint64_t *mask, uint32_t num_docs, uint64_t *blocks);
    void (*block_bounds)(struct sir_block_filter *filter);
    uint32_t (*collect_bounds)(const uint16_t *bounds, uint32_t count, uint32_t floor, const uint64_t *allowed,
                               uint32_t *positions);
    uint32_t (*block_largest)(const uint32_t *scores, uint32_t allowed);
    void (*score_tasks)(struct sir_block_batch *batch, const struct sir_block_task *tasks, uint32_t count);
    /* Low 16 bits of the first `count` set bits of a bitmap from `bit` on; returns how many there are. */
    uint32_t (*unpack_bitmap)(const uint64_t *bits, uint64_t num_words, uint64_t bit, uint32_t count, uint16_t *out);
    /* Low 16 bits of the doc_ids of a run whose first 1 is the next from `bit` on; returns how many there are. */
    uint32_t (*unpack_buckets)(const uint64_t *bits, uint64_t num_words, uint64_t bit, sir_packed_run run, uint16_t *out);
} sir_kernels;

extern const sir_kernels sir_kernels_scalar, sir_kernels_avx2, sir_kernels_avx512, sir_kernels_neon;

void sir_scatter_scalar(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count, uint32_t weight);
void sir_allowed_blocks_scalar(const uint64_t *mask, uint32_t num_docs, uint64_t *blocks);
void sir_add_block_maxima_scalar(const struct sir_list *list, uint8_t bit, uint32_t scale, uint16_t *bounds, uint8_t *lists);
uint32_t sir_unpack_bitmap_scalar(const uint64_t *bits, uint64_t num_words, uint64_t bit, uint32_t count, uint16_t *out);
uint32_t sir_unpack_buckets_scalar(const uint64_t *bits, uint64_t num_words, uint64_t bit, sir_packed_run run, uint16_t *out);
/* The kernels of an instruction set, or NULL where this processor or build lacks it. */
const sir_kernels *sir_kernels_for(uint32_t isa);

#endif
