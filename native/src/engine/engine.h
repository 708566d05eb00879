/* What every engine is given. */
#ifndef SIR_ENGINE_H
#define SIR_ENGINE_H

#include "engine/topk.h"
#include "format/segment.h"
#include "kernels/kernels.h"

struct sir_cursor;
struct sir_lead;
struct sir_window_list;
struct sir_block_filter;

/* One query term in one segment: a cache line, since a batch of blocks is scored from all lists in turn. */
typedef struct sir_list {
    const sir_term *term;
    const uint16_t *docs;             /* of its first posting; NULL: packed */
    const uint8_t *impacts;           /* of its first posting */
    const uint64_t *doc_bits;         /* packed: bitmap of documents, or bucket heights */
    const uint8_t *doc_lows;          /* packed in buckets: lowest byte of each doc_id; NULL: a bitmap */
    uint32_t num_doc_words;           /* of doc_bits */
    uint32_t weight;                  /* query weight */
    uint32_t index;                   /* of the term in the segment */
    uint32_t start, end, next_window; /* postings in the current window, and where to look for the next */
} sir_list;
_Static_assert(sizeof(sir_list) == 64, "a list takes one cache line");

typedef struct sir_workspace {
    uint32_t *accumulator; /* SIR_WINDOW_DOCS */
    uint32_t *positions;   /* SIR_WINDOW_DOCS */
    uint16_t *unpacked;    /* SIR_WINDOW_DOCS + 64 */
    uint16_t *chunks;      /* SIR_CHUNK_ROOM a cursor */
    sir_bitmap_cursor *bitmaps;
    uint64_t *keys;
    uint32_t *terms, *weights; /* the query: distinct term ids, integer weights */
    uint64_t *term_order;
    sir_list *lists; /* num_terms a segment */
    struct sir_cursor *cursors;
    struct sir_lead *leads;               /* of WAND: one a term */
    uint32_t *range_bounds, *range_order; /* of WAND: as many as the largest segment has blocks, in whole superblocks */
    struct sir_window_list *window_lists; /* of MaxScore: one a term */
    struct sir_context *contexts;         /* one a segment */
    struct sir_block_filter *filters;     /* one a segment */
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
    const uint64_t *mask;   /* documents that may be hits; NULL: all */
    uint32_t ordinal_shift; /* segment's ordinal_base - the index's ordinal_min */
    uint32_t num_lists;
    sir_list *lists; /* the segment's own part of the scratch */
    struct sir_block_filter *filter;
    sir_workspace *workspace;
    sir_topk *top;
    sir_stats *stats;     /* never NULL */
    double bound_factor;  /* 1: exact */
    double bound_mass;    /* of approximate search */
    uint32_t blocks_left; /* blocks that may still be scored here; UINT32_MAX: exact */
    const struct sir_context *next; /* the segment that is searched after this one; NULL: none */
} sir_context;

/* Terms of a query whose ladders are read where there are several segments: lighter ones seldom know a higher threshold. */
enum { SIR_PRIMED_TERMS = 8 };

/* Raises the threshold to what k documents are known to score. The lists are found, by falling weight, and not opened: `start` is
 * the number of the term in the query. */
void sir_prime(const sir_context *segments, uint32_t num_segments, uint32_t k);

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

/* Low 16 bits of the doc_ids of postings list->start .. list->end - 1, the window that sir_enter_window has found. Those of a packed
 * list are in the workspace, until the next call. In a damaged list list->end may become smaller. */
const uint16_t *sir_window_docs(const sir_context *c, sir_list *list, uint32_t window);

/* The list of the segment's term number `at`. */
sir_list sir_list_of(const sir_segment *s, uint32_t at, uint32_t weight);

/* Splits the caller's scratch; returns the bytes needed, and fills w when memory is not NULL. */
uint64_t sir_workspace_layout(const sir_index *index, uint32_t k, uint32_t num_terms, void *memory, sir_workspace *w);

/* Sorts and checks a query into w->terms / w->weights; returns the number of terms left. */
int sir_query_prepare(const uint32_t *term_ids, const float *weights, uint32_t num_terms, sir_workspace *w, uint32_t *num_left,
                      double *query_scale, sir_error *error);

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
