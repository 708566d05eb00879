/* A segment as the engines see it: typed views of its sections, checked once at open. See docs/index-format.md. */
#ifndef SIR_SEGMENT_H
#define SIR_SEGMENT_H

#include "format/error.h"
#include "sparseir.h"

enum {
    SIR_BLOCK_SHIFT = 5,
    SIR_BLOCK_DOCS = 1 << SIR_BLOCK_SHIFT,
    SIR_SUPER_BLOCKS = 64, /* blocks of one superblock */
    SIR_WINDOW_DOCS = 65536,
    SIR_NUM_LEVELS = 16,
    SIR_LADDER_STEPS = 15,
    SIR_BUCKET_SHIFT = 8, /* documents of a bucket share all but their lowest byte */
    SIR_SPARSE = 255      /* cell_shift of a term with a sparse directory */
};
enum { SIR_FLAG_PACKED = 1, SIR_FLAG_NO_BLOCKS = 2 }; /* header flags: doc_ids are packed; blocks have no maxima */
#define SIR_NO_ROW 0xFFFFFFFFu

typedef struct sir_term {
    uint64_t postings_start;
    uint32_t df;
    uint32_t directory_start;
    uint32_t bound_row;
    uint32_t num_windows;
    uint8_t cell_shift;
    uint8_t list_max;
    uint8_t reserved[2];
    uint32_t bits_row;
} sir_term;

typedef struct sir_segment {
    uint32_t num_docs, num_terms, num_blocks, num_supers;
    uint64_t num_postings, ordinal_base;
    const uint32_t *term_ids;
    const sir_term *terms;
    const uint16_t *docs;        /* NULL: packed */
    const uint64_t *doc_words;   /* packed doc_ids */
    const uint64_t *doc_offsets; /* by term, its first word in doc_words */
    const uint8_t *impacts;
    const uint32_t *cells;
    const uint16_t *window_ids;
    const uint32_t *window_starts;
    const uint8_t *ladder;
    const uint8_t *block_max; /* 32 bytes a row and superblock; NULL: without_blocks */
    const uint8_t *levels;    /* 16 a row; NULL: without_blocks */
    const uint8_t *super_max;
    const uint64_t *bits;           /* NULL: no term has a bitmap */
    const uint32_t *ordinals;       /* NULL: ordinal_base + doc_id */
    const uint32_t *block_ordinals; /* NULL with ordinals */
    const void *weights;            /* stored weights, f32 or f16; NULL: none */
    uint32_t weight_bytes, packed, without_blocks;
    uint64_t num_doc_words, num_cells, num_windows, num_rows, num_bits_rows, bits_stride;
    /* Owned by the index that opened the segment: */
    uint64_t *live; /* bitmap of documents that are not deleted; NULL: all */
    uint32_t num_deleted;
    uint32_t *lookup; /* term_id -> index into terms, SIR_NO_ROW where absent; NULL: binary search */
    uint32_t lookup_size;
} sir_segment;

/* Fills segment with views of the bytes after checking every offset and count. Allocates nothing. */
int sir_segment_map(const void *bytes, uint64_t length, sir_segment *segment, sir_error *error);

/* Bits of the bucket heights of a packed list: a 1 for each posting, a 0 at the end of each bucket. */
static inline uint64_t sir_bucket_bits(uint32_t num_docs, uint32_t df) {
    return (((uint64_t)num_docs + (1u << SIR_BUCKET_SHIFT) - 1) >> SIR_BUCKET_SHIFT) + df;
}

/* Index into terms of a term id, or SIR_NO_ROW. */
uint32_t sir_segment_find(const sir_segment *segment, uint32_t term_id);

/* Postings [*start, *end) of a term, counted from its first, that lie in cell c of its dense directory.
 * The directory comes from a file: both are clamped to df, so what is read stays inside the term's postings. */
static inline void sir_cell_range(const sir_segment *s, const sir_term *t, uint32_t first, uint32_t last, uint32_t *start,
                                  uint32_t *end) {
    const uint32_t *cells = s->cells + t->directory_start;
    uint32_t lo = cells[first], hi = cells[last];
    hi = hi < t->df ? hi : t->df;
    *start = lo < hi ? lo : hi;
    *end = hi;
}

#endif
