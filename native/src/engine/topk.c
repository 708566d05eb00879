#include "engine/topk.h"

#include "checks.h"

enum { SMALL = 24 };

uint32_t sir_topk_capacity(uint32_t k) { return k < 64 ? 2 * k + 16 : k + k / 2 + 64; }

void sir_topk_init(sir_topk *top, uint64_t *keys, uint32_t k) {
    top->keys = keys;
    top->count = 0;
    top->capacity = sir_topk_capacity(k);
    top->k = k;
    top->threshold = UINT32_MAX; /* score 0 never enters */
}

static void insertion_sort(uint64_t *keys, int64_t count) {
    for (int64_t i = 1; i < count; i++) {
        uint64_t key = keys[i];
        int64_t j = i;
        for (; j > 0 && keys[j - 1] < key; j--) keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

/* Hoare partition: after it, keys[0..j] >= pivot >= keys[j+1..]; returns j, with 0 <= j < count - 1. */
static int64_t partition(uint64_t *keys, int64_t count) {
    uint64_t pivot = median(keys[0], keys[count / 2], keys[count - 1]);
    int64_t i = -1, j = count;
    for (;;) {
        do i++;
        while (keys[i] > pivot);
        do j--;
        while (keys[j] < pivot);
        if (i >= j) break;
        uint64_t swap = keys[i];
        keys[i] = keys[j];
        keys[j] = swap;
    }
    return j < count - 1 ? j : count - 2;
}

void sir_select_largest(uint64_t *keys, uint32_t count, uint32_t k) {
    int64_t lo = 0, hi = count;
    while (hi - lo > SMALL) {
        int64_t split = lo + partition(keys + lo, hi - lo) + 1;
        if (split > k)
            hi = split;
        else if (split < k)
            lo = split;
        else
            return;
    }
    insertion_sort(keys + lo, hi - lo);
}

void sir_sort_descending(uint64_t *keys, uint32_t count) {
    /* The smaller side is sorted by recursion, so that the depth is at most log2(count). */
    while (count > SMALL) {
        uint32_t split = (uint32_t)partition(keys, count) + 1;
        if (split < count - split) {
            sir_sort_descending(keys, split);
            keys += split;
            count -= split;
        } else {
            sir_sort_descending(keys + split, count - split);
            count = split;
        }
    }
    insertion_sort(keys, count);
}

void sir_topk_tighten(sir_topk *top) {
    if (top->count < top->k) return;
    if (top->count > top->k) {
        sir_select_largest(top->keys, top->count, top->k);
        top->count = top->k;
    }
    uint64_t smallest = top->keys[0];
    SIR_ASSERT(top->count == top->k);
    for (uint32_t i = 1; i < top->k; i++) smallest = top->keys[i] < smallest ? top->keys[i] : smallest;
    if (smallest > top->threshold) top->threshold = smallest;
}

uint32_t sir_topk_finish(sir_topk *top) {
    if (top->count > top->k) sir_topk_tighten(top);
    sir_sort_descending(top->keys, top->count);
    for (uint32_t i = 1; i < top->count; i++) SIR_ASSERT_SOUND(top->keys[i] < top->keys[i - 1]); /* no document is offered twice */
    return top->count;
}
