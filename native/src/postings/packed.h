/* Packed doc_ids, see docs/index-format.md.
 *
 * A frequent term has a bitmap of documents alone. Any other one has its postings in buckets of 256 documents: a bit string
 * with a 1 for each posting and a 0 at the end of each bucket, and the lowest byte of each doc_id (an Elias-Fano code whose
 * low part is one byte). Posting i, which lies in bucket b, is therefore at bit i + b: a position directory, which has i for
 * the first document of each cell, tells the bit as well. Rare terms keep 16 bits a posting, as in the standard layout.
 */
#ifndef SIR_PACKED_H
#define SIR_PACKED_H

#include "engine/engine.h"

/* A bit at or before that of the list's posting number `posting`, after the bits of all earlier postings: where unpacking starts.
 * The posting is the first with a document >= doc, where doc is a multiple of 256 or one past the document before. */
static inline uint64_t sir_packed_bit(const sir_list *list, uint32_t posting, uint32_t doc) {
    return list->doc_lows == NULL ? doc : (uint64_t)posting + (doc >> SIR_BUCKET_SHIFT);
}

/* Low 16 bits of the doc_ids of a packed list's postings start .. start + count - 1, the first of which is the first 1 from
 * `bit` on. Returns how many there are: fewer than count in a damaged list, whose doc_ids may also be wrong, but nothing
 * is read outside the list. out has room for count + 64. start + count <= df. */
static inline uint32_t sir_unpack(const sir_kernels *kernels, const sir_list *list, uint64_t bit, uint32_t start, uint32_t count,
                                  uint16_t *out) {
    if (list->doc_lows == NULL) return kernels->unpack_bitmap(list->doc_bits, list->num_doc_words, bit, count, out);
    return kernels->unpack_buckets(list->doc_bits, list->num_doc_words, bit, (sir_packed_run){list->doc_lows + start, start, count},
                                   out);
}

#endif
