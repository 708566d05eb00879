/* Unpacking the posting lists of a packed segment for merging, export and checks; see packed.h for the code. */
#include <string.h>

#include "sparseir.h"

typedef struct {
    const uint64_t *bits;
    uint64_t num_words, bit;
} bit_reader;

/* Place of the next 1, or UINT64_MAX. */
static uint64_t next_one(bit_reader *r) {
    while (r->bit < 64 * r->num_words) {
        uint64_t word = r->bits[r->bit / 64] >> (r->bit % 64);
        if (word != 0) {
            r->bit += (uint64_t)__builtin_ctzll(word) + 1;
            return r->bit - 1;
        }
        r->bit = (r->bit / 64 + 1) * 64;
    }
    return UINT64_MAX;
}

/* One list; 0 when its doc_ids are not those that its directory counts. */
static int unpack(const sir_term_tables *t, uint32_t term, uint16_t *docs) {
    uint64_t first = t->start[term], df = t->start[term + 1] - first;
    uint64_t height_words = ((((uint64_t)t->num_docs + 255) >> 8) + df + 63) / 64;
    int bitmap = t->bits_row[term] != 0xFFFFFFFFu;
    const uint64_t *words = bitmap ? NULL : t->doc_words + t->doc_begin[term];
    if (!bitmap && t->cell_shift[term] == 255) {
        memcpy(docs + first, words, df * sizeof *docs);
        return 1;
    }
    uint64_t stride = ((uint64_t)t->num_docs + 63) / 64;
    bit_reader reader = {bitmap ? t->bits + t->bits_row[term] * stride : words, bitmap ? stride : height_words, 0};
    const uint8_t *lows = bitmap ? NULL : (const uint8_t *)(words + height_words);
    for (uint64_t w = t->window_begin[term]; w < t->window_begin[term + 1]; w++) {
        uint64_t p = t->window_first[w];
        uint64_t end = w + 1 < t->window_begin[term + 1] ? t->window_first[w + 1] : t->start[term + 1];
        for (; p < end; p++) {
            uint64_t one = next_one(&reader);
            uint64_t doc = bitmap ? one : (one - (p - first)) << 8 | lows[p - first];
            if (one == UINT64_MAX || doc >> 16 != t->window[w]) return 0;
            docs[p] = (uint16_t)doc;
        }
    }
    return next_one(&reader) == UINT64_MAX;
}

void sir_unpack_lists(const sir_term_tables *tables, uint32_t num_terms, uint16_t *docs, uint32_t *term) {
    for (*term = 0; *term < num_terms; ++*term)
        if (!unpack(tables, *term, docs)) return;
}
