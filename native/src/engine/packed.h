/* Packed doc_ids, see docs/index-format.md.
 *
 * A frequent term has a bitmap of documents alone. Any other one has its postings in buckets of 256 documents: a bit string
 * with a 1 for each posting and a 0 behind each bucket, and the lowest byte of each doc_id (an Elias-Fano code whose low
 * part is one byte). Posting i of bucket b thus stands at bit i + b, so that a position directory, which tells i for the
 * first document of each cell, finds the bit as well. Rare terms keep 16 bits a posting, as in the standard layout.
 */
#ifndef SIR_PACKED_H
#define SIR_PACKED_H

#include "engine/engine.h"

/* Bit at which the list's posting number `posting` begins to be looked for, when it is the first with doc_id >= doc, doc a
 * multiple of 256, or the first behind document doc - 1. */
static inline uint64_t sir_packed_bit(const sir_list *list, uint32_t posting, uint32_t doc) {
    return list->doc_lows == NULL ? doc : (uint64_t)posting + (doc >> SIR_BUCKET_SHIFT);
}

/* Low 16 bits of the doc_ids of a packed list's postings start .. start + count - 1, the first of which is looked for from
 * `bit` on. Returns how many there are: fewer than count in a damaged list, whose doc_ids may also be wrong, but nothing
 * is read outside the list. out has room for count + 64. start + count <= df. */
static inline uint32_t sir_unpack(const sir_kernels *kernels, const sir_list *list, uint64_t bit, uint32_t start,
                                  uint32_t count, uint16_t *out) {
    if (list->doc_lows == NULL) return kernels->unpack_bitmap(list->doc_bits, list->num_doc_words, bit, count, out);
    return kernels->unpack_buckets(list->doc_bits, list->num_doc_words, bit,
                                   (sir_packed_run){list->doc_lows + start, start, count}, out);
}

#endif
