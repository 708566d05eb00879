/* A cursor over one posting list, in rising doc_id. next_geq never moves back.
 *
 * A span is a range of postings whose documents lie in one window: a cell of a dense directory, or a window of a sparse
 * one. Inside a span documents are compared by their low 16 bits.
 */
#ifndef SIR_CURSOR_H
#define SIR_CURSOR_H

#include "block.h"

typedef struct sir_cursor {
    const sir_list *list;
    uint64_t upper_bound;  /* weight * list_max */
    uint32_t doc;          /* current document; num_docs behind the last */
    uint32_t position;     /* posting of the current document */
    uint32_t span_end;     /* posting behind the span */
    uint32_t span, num_spans, num_docs;
    uint32_t base;         /* doc_id of the span's window's first document */
} sir_cursor;

/* Sets the cursor to the first posting of span `span` or of a later one. */
static inline void sir_cursor_enter(const sir_segment *s, sir_cursor *c, uint32_t span) {
    const sir_term *t = c->list->term;
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
        c->span_end = end;
        c->doc = c->base | c->list->docs[start];
        /* subtle: a damaged list may name documents behind the last, or fall back; the cursor then ends, so that
         * whoever loops over it ends too. */
        if (c->doc >= c->num_docs) break;
        return;
    }
    c->span = c->num_spans;
    c->doc = c->num_docs;
}

static inline void sir_cursor_start(const sir_segment *s, sir_cursor *c, const sir_list *list) {
    const sir_term *t = list->term;
    c->list = list;
    c->upper_bound = list->weight * (uint64_t)t->list_max;
    c->num_docs = s->num_docs;
    c->num_spans = t->cell_shift == SIR_SPARSE
                       ? t->num_windows
                       : (uint32_t)(((uint64_t)s->num_docs + (1u << t->cell_shift) - 1) >> t->cell_shift);
    sir_cursor_enter(s, c, 0);
}

/* First span that can hold document `target`, not before the current one. */
static inline uint32_t sir_cursor_span(const sir_segment *s, const sir_cursor *c, uint32_t target) {
    const sir_term *t = c->list->term;
    if (t->cell_shift != SIR_SPARSE) return target >> t->cell_shift;
    const uint16_t *ids = s->window_ids + t->directory_start;
    uint32_t span = c->span;
    while (span < c->num_spans && ids[span] < target >> 16) span++;
    return span;
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
    const uint16_t *docs = c->list->docs;
    const uint32_t wanted = target & (SIR_WINDOW_DOCS - 1);
    uint32_t position = c->position + 1;
    for (uint32_t left; (left = c->span_end - position) > 64;) { /* spans hold 32 postings on average, but may be uneven */
        if (docs[position + left / 2] < wanted)
            position += left / 2 + 1;
        else
            break;
    }
    while (position < c->span_end && docs[position] < wanted) position++;
    if (position == c->span_end) {
        sir_cursor_enter(s, c, c->span + 1);
        if (c->doc < target) c->doc = c->num_docs; /* a damaged list: see sir_cursor_enter */
        return;
    }
    c->position = position;
    c->doc = c->base | docs[position];
    if (c->doc >= c->num_docs) c->doc = c->num_docs;
}

static inline uint32_t sir_cursor_product(const sir_cursor *c) { return c->list->weight * c->list->impacts[c->position]; }

#endif
