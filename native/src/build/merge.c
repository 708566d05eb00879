/* Merging posting lists: doc_ids are renumbered, lists of several segments joined and brought into order again. A posting
 * travels as one 64-bit key, new doc_id above, place of its payload below, so that any payload follows. */
#include <string.h>

#include "build/impact.h"
#include "sparseir.h"

#define DROPPED 0xFFFFFFFFu
#define RADIX_BITS 11
#define RADIX_SIZE (1u << RADIX_BITS)

void sir_place_lists(const sir_term_tables *source, const uint32_t *map, const uint32_t *slot, uint32_t num_terms,
                     uint32_t payload_base, uint64_t *cursor, uint64_t *keys) {
    uint64_t origin = source->start[0];
    for (uint32_t term = 0; term < num_terms; term++) {
        uint64_t at = cursor[slot[term]];
        for (uint64_t w = source->window_begin[term]; w < source->window_begin[term + 1]; w++) {
            uint64_t p = source->window_first[w];
            uint64_t end = w + 1 < source->window_begin[term + 1] ? source->window_first[w + 1] : source->start[term + 1];
            uint32_t base = (uint32_t)source->window[w] << 16;
            for (; p < end; p++) {
                uint32_t doc = map[base | source->docs[p]];
                keys[at] = (uint64_t)doc << 32 | (payload_base + (uint32_t)(p - origin));
                at += doc != DROPPED;
            }
        }
        cursor[slot[term]] = at;
    }
}

/* One pass of a stable counting sort on RADIX_BITS bits of the key. */
static void radix_pass(const uint64_t *from, uint64_t *to, uint64_t n, int shift) {
    uint32_t count[RADIX_SIZE] = {0};
    for (uint64_t i = 0; i < n; i++) count[(from[i] >> shift) & (RADIX_SIZE - 1)]++;
    uint32_t total = 0;
    for (uint32_t b = 0; b < RADIX_SIZE; b++) {
        uint32_t here = count[b];
        count[b] = total;
        total += here;
    }
    for (uint64_t i = 0; i < n; i++) to[count[(from[i] >> shift) & (RADIX_SIZE - 1)]++] = from[i];
}

static void insertion_sort(uint64_t *keys, uint64_t n) {
    for (uint64_t i = 1; i < n; i++) {
        uint64_t key = keys[i], j = i;
        for (; j > 0 && keys[j - 1] > key; j--) keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

/* Joined lists of segments in input order are ascending already; finding that out costs one pass. */
static int ascending(const uint64_t *keys, uint64_t n) {
    for (uint64_t i = 1; i < n; i++)
        if (keys[i - 1] > keys[i]) return 0;
    return 1;
}

static void sort_list(uint64_t *keys, uint64_t n, uint32_t num_docs, uint64_t *scratch) {
    if (ascending(keys, n)) return;
    if (n < 64) {
        insertion_sort(keys, n);
        return;
    }
    uint64_t *from = keys, *to = scratch;
    for (int shift = 32; shift < 64 && ((uint64_t)num_docs << 32) >> shift; shift += RADIX_BITS) {
        radix_pass(from, to, n, shift);
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != keys) memcpy(keys, from, n * sizeof *keys);
}

void sir_finish_lists(sir_key_lists *lists, uint64_t *scratch, const sir_inverted *out, uint64_t *start, uint64_t *window_begin) {
    uint64_t at = 0, entries = 0;
    for (uint32_t term = 0; term < lists->num_terms; term++) {
        uint64_t *keys = lists->keys + lists->begin[term];
        uint64_t n = lists->end[term] - lists->begin[term];
        uint32_t last = 0xFFFFFFFFu;
        sort_list(keys, n, lists->num_docs, scratch);
        start[term] = at;
        window_begin[term] = entries;
        for (uint64_t i = 0; i < n; i++, at++) {
            uint32_t doc = (uint32_t)(keys[i] >> 32), payload = (uint32_t)keys[i];
            out->docs[at] = (uint16_t)doc;
            out->impacts[at] =
                lists->impacts ? lists->impacts[payload] : sir_impact(lists->weights[payload], lists->scale, &lists->clipped);
            if (out->weights) out->weights[at] = lists->weights[payload];
            if (doc >> 16 != last) {
                last = doc >> 16;
                out->window[entries] = (uint16_t)last;
                out->window_first[entries++] = at;
            }
        }
    }
    start[lists->num_terms] = at;
    window_begin[lists->num_terms] = entries;
}
