/* A cursor over one posting list, in rising doc_id. next_geq never moves back.
 *
 * A span is a range of postings whose documents lie in one window: a cell of a dense directory, or a window of a sparse
 * one. Inside a span documents are compared by their low 16 bits. Packed lists are unpacked a chunk of a span at a time.
 */
#ifndef SIR_CURSOR_H
#define SIR_CURSOR_H

#include "checks.h"
#include "postings/block.h"
#include "postings/packed.h"

enum { SIR_CHUNK = 128, SIR_CHUNK_ROOM = SIR_CHUNK + 64 };

/* What a cursor over a packed list unpacks with, and where to: SIR_CHUNK_ROOM. */
typedef struct sir_chunk {
    const sir_kernels *kernels;
    uint16_t *room;
} sir_chunk;

typedef struct sir_cursor {
    sir_list list;
    sir_chunk chunk;
    const uint16_t *docs; /* docs[0] belongs to posting docs_first; good up to chunk_end */
    uint32_t docs_first, chunk_end;
    uint64_t upper_bound; /* weight * list_max */
    uint32_t doc;         /* current document; num_docs past the last */
    uint32_t position;    /* posting of the current document */
    uint32_t span_end;    /* one past the span's last posting */
    uint32_t span, num_spans, num_docs;
    uint32_t base; /* doc_id of the span's window's first document */
} sir_cursor;

/* A list in WAND. */
typedef struct sir_lead {
    uint32_t doc;   /* at least the cursor's document: the cursor moves up only when it is asked for a document */
    uint32_t bound; /* the most that the list adds to a score in the range that is searched */
    float worth;    /* bound / df. Lists are asked by falling worth: a large bound settles much about the document that is
                           asked for, and a cursor over a short list moves far. */
    sir_cursor *cursor;
} sir_lead;

/* A list in MaxScore, in the window that is searched. */
typedef struct sir_window_list {
    sir_list *list;
    sir_cursor *cursor;    /* where the list is packed */
    uint64_t bound;        /* the most that it adds to a score */
    uint64_t bounds_until; /* sum of the bounds of this list and of the weaker ones */
} sir_window_list;

/* Unpacks the next chunk, from posting `start` up to the span's end at most. `doc` is a lower bound of the first one's document, as
 * sir_packed_bit takes it. In a damaged list the chunk may come out empty. */
static inline void sir_cursor_unpack(sir_cursor *c, uint32_t start, uint32_t doc) {
    const uint32_t count = sir_min(SIR_CHUNK, c->span_end - start);
    c->docs = c->chunk.room;
    c->docs_first = start;
    c->chunk_end =
        start + sir_unpack(c->chunk.kernels, &c->list, sir_packed_bit(&c->list, start, doc), start, count, c->chunk.room);
}

/* Sets the cursor to the first posting of span `span` or of a later one. */
static inline void sir_cursor_enter(const sir_segment *s, sir_cursor *c, uint32_t span) {
    const sir_term *t = c->list.term;
    for (; span < c->num_spans; span++) {
        uint32_t start, end;
        if (t->cell_shift == SIR_SPARSE) {
            const uint32_t *starts = s->window_starts + t->directory_start;
            end = span + 1 < c->num_spans ? sir_min(starts[span + 1], t->df) : t->df;
            start = sir_min(starts[span], end);
            c->base = (uint32_t)s->window_ids[t->directory_start + span] << 16;
        } else {
            sir_cell_range(s, t, span, span + 1, &start, &end);
            c->base = (uint32_t)((uint64_t)span << t->cell_shift) & ~(uint32_t)(SIR_WINDOW_DOCS - 1);
        }
        if (start == end) continue;
        c->span = span;
        c->position = start;
        c->span_end = c->chunk_end = end;
        if (c->list.docs == NULL) {
            sir_cursor_unpack(c, start, span << t->cell_shift);
            if (c->chunk_end == start) break;
        }
        c->doc = c->base | c->docs[start - c->docs_first];
        /* subtle: a damaged list may name documents past the last one, or go back; the cursor then ends, so that a loop
         * over it ends too. */
        if (c->doc >= c->num_docs) break;
        return;
    }
    c->span = c->num_spans;
    c->doc = c->num_docs;
}

/* Sets a cursor up for a list without moving it to a posting. */
static inline void sir_cursor_open(const sir_segment *s, sir_cursor *c, const sir_list *list, sir_chunk chunk) {
    const sir_term *t = list->term;
    c->list = *list;
    c->chunk = chunk;
    c->docs = list->docs;
    c->docs_first = 0;
    c->upper_bound = list->weight * (uint64_t)t->list_max;
    c->num_docs = s->num_docs;
    c->num_spans = t->cell_shift == SIR_SPARSE ? t->num_windows
                                               : (uint32_t)(((uint64_t)s->num_docs + (1u << t->cell_shift) - 1) >> t->cell_shift);
    c->span = c->position = c->doc = c->span_end = c->chunk_end = c->base = 0;
}

static inline void sir_cursor_start(const sir_segment *s, sir_cursor *c, const sir_list *list, sir_chunk chunk) {
    sir_cursor_open(s, c, list, chunk);
    sir_cursor_enter(s, c, 0);
}

/* Starts the workspace's cursor i over list i of the context, for all its lists. */
static inline void sir_start_cursors(sir_context *c) {
    for (uint32_t i = 0; i < c->num_lists; i++)
        sir_cursor_start(c->segment, &c->workspace->cursors[i], &c->lists[i],
                         (sir_chunk){c->kernels, c->workspace->chunks + (uint64_t)SIR_CHUNK_ROOM * i});
}

/* First span that can hold document `target`, not before the current one. */
static inline uint32_t sir_cursor_span(const sir_segment *s, const sir_cursor *c, uint32_t target) {
    const sir_term *t = c->list.term;
    if (t->cell_shift != SIR_SPARSE) return target >> t->cell_shift;
    const uint16_t *ids = s->window_ids + t->directory_start;
    uint32_t span = c->span;
    while (span < c->num_spans && ids[span] < target >> 16) span++;
    return span;
}

/* Number of the first posting of the span, from `position` on, whose document has low half >= wanted; c->span_end when there is none.
 * Goes on from chunk to chunk. */
static inline uint32_t sir_cursor_seek(sir_cursor *c, uint32_t position, uint32_t wanted) {
    for (;;) {
        const uint16_t *docs = c->docs;
        const uint32_t first = c->docs_first;
        for (uint32_t left; (left = c->chunk_end - position) > 64;) { /* spans hold few postings on average, but may be uneven */
            if (docs[position + left / 2 - first] < wanted)
                position += left / 2 + 1;
            else
                break;
        }
        while (position < c->chunk_end && docs[position - first] < wanted) position++;
        if (position < c->chunk_end || c->chunk_end == c->span_end) return position;
        const uint32_t last = position == first ? 0 : c->base + docs[position - first - 1] + 1u;
        if (position == first) return c->span_end; /* a damaged list */
        sir_cursor_unpack(c, position, last);
    }
}

/* Moves to the first posting with doc_id >= target; stays when already there. */
static inline void sir_cursor_next_geq(const sir_segment *s, sir_cursor *c, uint32_t target) {
    if (c->doc >= target) return;
    if (target >= c->num_docs) {
        c->span = c->num_spans;
        c->doc = c->num_docs;
        return;
    }
    const uint32_t span = sir_cursor_span(s, c, target);
    if (span > c->span) sir_cursor_enter(s, c, span);
    if (c->doc >= target) return;
    const uint32_t position = sir_cursor_seek(c, c->position + 1, target & (SIR_WINDOW_DOCS - 1));
    if (position == c->span_end) {
        sir_cursor_enter(s, c, c->span + 1);
        if (c->doc < target) c->doc = c->num_docs; /* a damaged list: see sir_cursor_enter */
        return;
    }
    c->position = position;
    c->doc = c->base | c->docs[position - c->docs_first];
    if (c->doc >= c->num_docs) c->doc = c->num_docs;
    SIR_ASSERT(c->doc >= target || c->doc == c->num_docs);
    SIR_ASSERT(c->position < c->chunk_end && c->chunk_end <= c->span_end && c->span_end <= c->list.term->df);
}

static inline uint32_t sir_cursor_product(const sir_cursor *c) { return c->list.weight * c->list.impacts[c->position]; }

#endif
