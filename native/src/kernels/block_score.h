/* Scoring of blocks, written once and compiled for each instruction set.
 *
 * The including file defines, for its instruction set:
 *   TARGET                                                          function attributes
 *   add_present(accumulator, present, impacts, weight)              impacts of the documents whose bits are set, in order
 *   add_range(accumulator, docs, impacts, count, base, weight)      postings of one block among `count`; returns how many
 *   add_lows(accumulator, lows, impacts, count, base, weight)       the same from lowest bytes of doc_ids of one bucket
 *   select_bit(word, n)                                             place of the set bit number n, from 0; there is one
 *
 * A task reads memory that is in no cache: a directory entry, then the postings it points at. Both are prefetched in a pipeline
 * over the tasks, so that no load waits for another.
 */
#include <string.h>

#include "postings/block.h"

/* Postings of a sparse directory's window that holds the block. */
static inline void sparse_range(const sir_segment *s, const sir_term *t, uint32_t block, uint32_t *start, uint32_t *end) {
    const uint16_t *ids = s->window_ids + t->directory_start;
    const uint32_t *starts = s->window_starts + t->directory_start;
    uint32_t lo = 0, hi = t->num_windows, window = block >> (16 - SIR_BLOCK_SHIFT);
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (ids[mid] < window)
            lo = mid + 1;
        else
            hi = mid;
    }
    *start = *end = 0;
    if (lo == t->num_windows || ids[lo] != window) return;
    *end = lo + 1 < t->num_windows ? sir_min(starts[lo + 1], t->df) : t->df;
    *start = sir_min(starts[lo], *end);
}

/* bucket_range where the bucket does not end within the word read at bit `at`: passes `zeros` 0s, each the end of a bucket, word by
 * word. *start is the bit after the last of them, *end the next 0. Both are UINT64_MAX where the bits run out. */
TARGET static inline void far_bucket(const sir_list *list, uint64_t at, uint32_t zeros, uint64_t *start, uint64_t *end) {
    const uint64_t num_words = list->num_doc_words;
    uint64_t w = at / 64, gaps = w < num_words ? ~list->doc_bits[w] & UINT64_MAX << (at % 64) : 0;
    *start = *end = UINT64_MAX;
    if (zeros > 0) {
        for (uint32_t n; (n = (uint32_t)__builtin_popcountll(gaps)) < zeros; zeros -= n) {
            if (++w >= num_words) return;
            gaps = ~list->doc_bits[w];
        }
        const uint32_t place = select_bit(gaps, zeros - 1);
        at = 64 * w + place + 1;
        gaps &= UINT64_MAX << place << 1;
    }
    *start = at;
    while (gaps == 0) {
        if (++w >= num_words) return;
        gaps = ~list->doc_bits[w];
    }
    *end = 64 * w + (uint32_t)__builtin_ctzll(gaps);
}

/* Postings *start .. *end - 1 of a packed list are those in bucket `bucket`; posting `first` is the list's first in bucket `from` or
 * a later one. A bucket whose 1s begin at bit p has p - bucket postings before it, since each of the p bits is a posting or the end
 * of a bucket. Both results are clamped to df, whatever the bits are. */
TARGET static inline void bucket_range(const sir_list *list, uint32_t first, uint32_t from, uint32_t bucket, uint32_t *start,
                                       uint32_t *end) {
    const uint64_t at = (uint64_t)first + from, df = list->term->df;
    const uint32_t zeros = bucket - from; /* ends of buckets to pass */
    uint64_t word = 0, begin, end_bit;
    if (at / 64 < list->num_doc_words) memcpy(&word, (const uint8_t *)list->doc_bits + at / 8, sizeof word);
    /* Each set bit is the place, counted from `at`, where a bucket begins: bit 0, and bit i + 1 where bit at + i is the 0 at the end
     * of a bucket. The word may reach past the list's bits, but only after its last 0, and no bucket begins after that. */
    const uint64_t borders = (~(word >> (at % 8)) & (UINT64_MAX >> 8)) << 1 | 1;
    if ((uint32_t)__builtin_popcountll(borders) > zeros + 1) {
        const uint32_t place = select_bit(borders, zeros);
        begin = at + place;
        end_bit = begin + (uint32_t)__builtin_ctzll(borders >> place >> 1);
    } else {
        far_bucket(list, at, zeros, &begin, &end_bit);
    }
    *start = begin - bucket < df ? (uint32_t)(begin - bucket) : (uint32_t)df;
    *end = end_bit - bucket < df ? (uint32_t)(end_bit - bucket) : (uint32_t)df;
}

static inline const uint32_t *cell_of(const sir_segment *s, const sir_term *t, uint32_t block) {
    return s->cells + t->directory_start + (block >> (t->cell_shift - SIR_BLOCK_SHIFT));
}

static inline int has_bitmap(const sir_segment *s, const sir_term *t) { return s->bits != NULL && t->bits_row != SIR_NO_ROW; }

static inline const uint64_t *bits_of(const sir_segment *s, const sir_term *t, uint32_t block) {
    return s->bits + t->bits_row * s->bits_stride + block / 2;
}

static inline void prefetch_directory(const sir_block_batch *b, sir_block_task task) {
    const sir_term *t = b->lists[task.list].term;
    uint32_t block = b->blocks[task.slot];
    if (t->cell_shift == SIR_SPARSE) return; /* small, and used by every block of the batch */
    __builtin_prefetch(cell_of(b->segment, t, block));
    if (has_bitmap(b->segment, t)) __builtin_prefetch(bits_of(b->segment, t, block));
}

/* Loads the bits that tell where a packed list's postings lie; its directory is loaded. */
static inline void prefetch_bits(const sir_block_batch *b, sir_block_task task) {
    const sir_list *list = &b->lists[task.list];
    if (list->doc_lows == NULL) return;
    const uint32_t block = b->blocks[task.slot], per_cell = list->term->cell_shift - SIR_BUCKET_SHIFT;
    const uint32_t bucket = block >> (SIR_BUCKET_SHIFT - SIR_BLOCK_SHIFT) >> per_cell << per_cell;
    __builtin_prefetch((const uint8_t *)list->doc_bits + (*cell_of(b->segment, list->term, block) + bucket) / 8);
}

/* Finds where the task's postings lie and starts loading them. */
TARGET static inline sir_block_range locate(const sir_block_batch *b, sir_block_task task) {
    const sir_list *list = &b->lists[task.list];
    const sir_term *t = list->term;
    const uint32_t block = b->blocks[task.slot];
    sir_block_range r = {.slot = task.slot, .weight = list->weight, .base = (uint16_t)(block << SIR_BLOCK_SHIFT)};
    uint32_t start, end;
    if (has_bitmap(b->segment, t)) {
        const uint64_t *word = bits_of(b->segment, t, block);
        const uint64_t *first = bits_of(b->segment, t, block >> (t->cell_shift - 5) << (t->cell_shift - 5));
        start = *cell_of(b->segment, t, block);
        /* subtle: a cell of one block may begin in the middle of a word; the directory already counts the postings before. */
        uint32_t odd = block & 1;
        if (t->cell_shift > SIR_BLOCK_SHIFT) {
            for (; first < word; first++) start += (uint32_t)__builtin_popcountll(*first);
            if (odd) start += (uint32_t)__builtin_popcount((uint32_t)*word);
        }
        r.present = (uint32_t)(*word >> (32 * odd));
        r.impacts = list->impacts + sir_min(start, t->df);
        __builtin_prefetch(r.impacts);
        __builtin_prefetch(r.impacts + 31);
        return r;
    }
    if (t->cell_shift == SIR_SPARSE) {
        sparse_range(b->segment, t, block, &start, &end);
    } else {
        uint32_t cell = block >> (t->cell_shift - SIR_BLOCK_SHIFT);
        sir_cell_range(b->segment, t, cell, cell + 1, &start, &end);
    }
    if (list->docs == NULL) {
        const uint32_t per_cell = t->cell_shift - SIR_BUCKET_SHIFT, bucket = block >> (SIR_BUCKET_SHIFT - SIR_BLOCK_SHIFT);
        bucket_range(list, start, bucket >> per_cell << per_cell, bucket, &start, &end);
        r.lows = list->doc_lows + start;
        r.impacts = list->impacts + start;
        r.count = end - start;
        __builtin_prefetch(r.lows);
        __builtin_prefetch(r.impacts);
        return r;
    }
    r.docs = list->docs + start;
    r.impacts = list->impacts + start;
    r.count = end - start;
    __builtin_prefetch(r.docs);
    __builtin_prefetch(r.docs + 31);
    __builtin_prefetch(r.impacts);
    return r;
}

/* Runs the tasks. The array must be padded with SIR_PIPELINE copies of its last task. */
TARGET static void score_tasks(sir_block_batch *b, const sir_block_task *tasks, uint32_t count) {
    enum { DEPTH = SIR_PIPELINE / 3 };
    sir_block_range ring[DEPTH];
    const uint32_t packed = b->segment->packed, ahead = packed ? 3 * DEPTH : 2 * DEPTH;
    if (count == 0) return;
    for (uint32_t i = 0; i < ahead; i++) prefetch_directory(b, tasks[i]);
    for (uint32_t i = 0; packed && i < 2 * DEPTH; i++) prefetch_bits(b, tasks[i]);
    for (uint32_t i = 0; i < DEPTH; i++) ring[i] = locate(b, tasks[i]);
    for (uint32_t i = 0, at = 0; i < count; i++) {
        const sir_block_range r = ring[at];
        uint32_t *accumulator = b->accumulators + SIR_BLOCK_DOCS * r.slot;
        prefetch_directory(b, tasks[i + ahead]);
        if (packed) prefetch_bits(b, tasks[i + 2 * DEPTH]);
        ring[at] = locate(b, tasks[i + DEPTH]);
        at = at + 1 == DEPTH ? 0 : at + 1;
        if (r.lows != NULL) {
            b->postings += add_lows(accumulator, r.lows, r.impacts, r.count, r.base, r.weight);
        } else if (r.docs == NULL) {
            add_present(accumulator, r.present, r.impacts, r.weight);
            b->postings += (uint32_t)__builtin_popcount(r.present);
        } else {
            b->postings += add_range(accumulator, r.docs, r.impacts, r.count, r.base, r.weight);
        }
    }
}
