/* What every engine is given, and the kernels it may use. */
#ifndef SIR_ENGINE_H
#define SIR_ENGINE_H

#include "segment.h"
#include "topk.h"

struct sir_list;
struct sir_cursor;
struct sir_lead;
struct sir_bound_row;
struct sir_block_batch;
struct sir_block_task;
struct sir_block_filter;

enum { SIR_MAX_QUERY_WEIGHT = 4095 };

/* Where a scorer stands in the bitmap of a term. Terms come in fours; a missing one repeats another with weight 0. */
typedef struct sir_bitmap_cursor {
    const uint64_t *bits;      /* of the first group of 64 documents */
    const uint8_t *impacts;    /* of the next posting */
    const uint8_t *end;        /* behind the term's last posting */
    uint32_t low_weights;      /* in the first of four: byte i is the weight's low 7 bits of the i-th of the four */
    uint32_t high_weights;     /* likewise its high 5 bits */
} sir_bitmap_cursor;

/* Postings of a packed list (see packed.h): their lowest doc_id bytes, the number of the first, and how many. */
typedef struct sir_packed_run {
    const uint8_t *lows;
    uint32_t start, count;
} sir_packed_run;

/* Inner loops with one version per instruction set; the scalar ones in kernels_scalar.c say what each computes. */
typedef struct sir_kernels {
    uint32_t isa;
    void (*scatter)(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count,
                    uint32_t weight);
    uint32_t (*collect)(const uint32_t *accumulator, uint32_t count, uint32_t floor, const uint64_t *mask,
                        uint32_t *positions);
    /* accumulator[d] = sum over the terms of weight * impact, for num_groups groups of 64 documents; the cursors move on.
     * Groups without a bit in mask (NULL: none) may be left as they are. NULL where the instruction set cannot expand
     * bytes: the caller scatters instead. */
    void (*bitmap_scores)(uint32_t *accumulator, uint32_t num_groups, const uint64_t *mask, sir_bitmap_cursor *terms,
                          uint32_t num_terms);
    void (*add_block_maxima)(const struct sir_list *list, uint32_t scale, uint16_t *bounds, uint8_t *lists);
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

void sir_scatter_scalar(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count,
                        uint32_t weight);
void sir_allowed_blocks_scalar(const uint64_t *mask, uint32_t num_docs, uint64_t *blocks);
void sir_add_block_maxima_scalar(const struct sir_list *list, uint32_t scale, uint16_t *bounds, uint8_t *lists);
uint32_t sir_unpack_bitmap_scalar(const uint64_t *bits, uint64_t num_words, uint64_t bit, uint32_t count, uint16_t *out);
uint32_t sir_unpack_buckets_scalar(const uint64_t *bits, uint64_t num_words, uint64_t bit, sir_packed_run run,
                                   uint16_t *out);
/* The kernels of an instruction set, or NULL where this processor or build lacks it. */
const sir_kernels *sir_kernels_for(uint32_t isa);

/* One query term in one segment. */
typedef struct sir_list {
    const sir_term *term;
    const uint16_t *docs;   /* of its first posting; NULL: packed */
    const uint8_t *impacts; /* likewise */
    uint32_t weight;        /* query weight */
    uint32_t index;         /* of the term in the segment */
    uint32_t start, end, next_window; /* postings in the current window, and where to look for the next */
    uint32_t row; /* block filter: number among the query's lists with a bound row, or among those without */
    uint64_t bound;        /* maxscore: largest contribution in the window */
    uint64_t bounds_until; /* maxscore: sum of the bounds of this list and the weaker ones */
    const uint64_t *doc_bits; /* packed: bitmap of documents, or bucket heights */
    uint64_t num_doc_words;
    const uint8_t *doc_lows; /* packed in buckets: lowest byte of each doc_id; NULL: a bitmap */
} sir_list;

typedef struct sir_workspace {
    uint32_t *accumulator; /* SIR_WINDOW_DOCS */
    uint32_t *positions;   /* SIR_WINDOW_DOCS */
    uint16_t *unpacked;    /* SIR_WINDOW_DOCS + 64 */
    uint16_t *chunks;      /* SIR_CHUNK_ROOM a cursor */
    sir_bitmap_cursor *bitmaps;
    uint64_t *keys;
    uint32_t *terms, *weights; /* the query, by ascending term id, integer weights */
    uint64_t *term_order;
    sir_list *lists; /* num_terms a segment */
    struct sir_cursor *cursors;
    struct sir_lead *order;
    struct sir_context *contexts;     /* one a segment */
    struct sir_block_filter *filters; /* likewise */
} sir_workspace;

struct sir_index {
    uint32_t num_segments;
    double doc_scale;
    uint64_t ordinal_min;
    uint32_t engines; /* bit SIR_ENGINE_*: every segment has what that engine needs */
    const sir_kernels *kernels;
    sir_segment *segments;
};

/* One search in one segment. What a search offers in one segment raises the threshold in all: they share `top`. */
typedef struct sir_context {
    const sir_segment *segment;
    const sir_kernels *kernels;
    const uint64_t *mask;      /* documents that may be hits; NULL: all */
    uint32_t ordinal_shift;    /* segment's ordinal_base - the index's ordinal_min */
    uint32_t num_lists;
    sir_list *lists;           /* the segment's own part of the scratch */
    struct sir_block_filter *filter; /* likewise */
    sir_workspace *workspace;
    sir_topk *top;
    sir_stats *stats;          /* never NULL */
    double bound_factor;       /* 1: exact */
    double bound_mass;         /* of approximate search */
    uint32_t blocks_left;      /* blocks that may still be scored here; UINT32_MAX: exact */
} sir_context;

/* Engines that search all segments together. Each engine counts itself in stats->queries. */
void sir_engine_auto(sir_context *segments, uint32_t num_segments);
void sir_engine_block_filter(sir_context *segments, uint32_t num_segments);
void sir_engine_approximate(sir_context *segments, uint32_t num_segments);

/* Engines that search one segment after the other. */
void sir_engine_exhaustive(sir_context *c);
void sir_engine_maxscore(sir_context *c);
void sir_engine_wand(sir_context *c);
void sir_engine_block_max_wand(sir_context *c);

/* Searches each segment whose lists could still yield a hit. */
void sir_search_each(sir_context *segments, uint32_t num_segments, void (*engine)(sir_context *));

/* Sets list->start and list->end to its postings in window `window`; windows of a list are entered in rising order, from
 * list->next_window = 0. */
void sir_enter_window(const sir_segment *s, sir_list *list, uint32_t window);

/* Low 16 bits of the doc_ids list->start .. list->end - 1, which sir_enter_window has set; of a packed list they stand in
 * the workspace until the next call. A damaged list may shorten list->end. */
const uint16_t *sir_window_docs(const sir_context *c, sir_list *list, uint32_t window);

/* The list of the segment's term number `at`. */
sir_list sir_list_of(const sir_segment *s, uint32_t at, uint32_t weight);

/* Splits the caller's scratch; returns the bytes needed, and fills w when memory is not NULL. */
uint64_t sir_workspace_layout(const sir_index *index, uint32_t k, uint32_t num_terms, void *memory, sir_workspace *w);

/* Sorts and checks a query into w->terms / w->weights; returns the number of terms left. */
int sir_query_prepare(const uint32_t *term_ids, const float *weights, uint32_t num_terms, sir_workspace *w,
                      uint32_t *num_left, double *query_scale, sir_error *error);

static inline uint32_t sir_ordinal_offset(const sir_context *c, uint32_t doc_id) {
    return c->ordinal_shift + (c->segment->ordinals == NULL ? doc_id : c->segment->ordinals[doc_id]);
}

static inline int sir_allowed(const sir_context *c, uint32_t doc_id) {
    return c->mask == NULL || (c->mask[doc_id >> 6] >> (doc_id & 63) & 1) != 0;
}

/* Which documents of a block may be hits. */
static inline uint32_t sir_allowed_in_block(const sir_context *c, uint32_t block) {
    return c->mask == NULL ? UINT32_MAX : (uint32_t)(c->mask[block / 2] >> (32 * (block % 2)));
}

/* Offers a scored document to the hits. */
static inline void sir_offer(sir_context *c, uint32_t doc_id, uint32_t score) {
    if (sir_allowed(c, doc_id)) sir_topk_push(c->top, sir_key(score, sir_ordinal_offset(c, doc_id)));
}

#endif
