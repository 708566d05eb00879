/* The k best hits of a search, as one integer key each.
 *
 * key = score << 32 | (2^32 - 1 - ordinal offset): larger is better, and a tie goes to the smaller ordinal. Keys are
 * collected in a buffer of more than k; when it fills, a quickselect keeps the k best and the k-th becomes the
 * threshold. Against a binary heap this costs O(1) a candidate however large k is, and the threshold lags by at most
 * the slack of the buffer, which only lets more candidates in.
 */
#ifndef SIR_TOPK_H
#define SIR_TOPK_H

#include <stdint.h>

typedef struct sir_topk {
    uint64_t *keys;
    uint32_t count, capacity, k;
    uint64_t threshold; /* a key enters when it is larger; starts below every score of 1 */
} sir_topk;

/* Keys the buffer needs for k hits. */
uint32_t sir_topk_capacity(uint32_t k);

void sir_topk_init(sir_topk *top, uint64_t *keys, uint32_t k);

/* Keeps the k best and raises the threshold to the k-th, when there are that many. */
void sir_topk_tighten(sir_topk *top);

/* Sorts the hits, best first, and returns how many there are (at most k). */
uint32_t sir_topk_finish(sir_topk *top);

/* Sorts keys, largest first. */
void sir_sort_descending(uint64_t *keys, uint32_t count);

/* The k best keys first, in any order; 0 < k < count. */
void sir_select_largest(uint64_t *keys, uint32_t count, uint32_t k);

/* k documents are known to score at least `score`: nothing below it can be a hit, an equal one still can. */
static inline void sir_topk_prime(sir_topk *top, uint32_t score) {
    if (score > 0) {
        uint64_t below = ((uint64_t)score << 32) - 1;
        if (below > top->threshold) top->threshold = below;
    }
}

/* The smallest score that may still enter. */
static inline uint32_t sir_topk_floor(const sir_topk *top) { return (uint32_t)((top->threshold + 1) >> 32); }

static inline uint64_t sir_key(uint32_t score, uint32_t ordinal_offset) {
    return (uint64_t)score << 32 | (UINT32_MAX - ordinal_offset);
}

static inline void sir_topk_push(sir_topk *top, uint64_t key) {
    if (key <= top->threshold) return;
    top->keys[top->count++] = key;
    if (top->count == top->capacity) sir_topk_tighten(top);
}

#endif
