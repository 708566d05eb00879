/* Exhaustive scoring, term at a time over windows of documents whose accumulators stay in cache.
 *
 * Every posting of every query term is added; only the choice of hits uses a threshold. Correct because an accumulator
 * is compared after all terms of its window have been added. Windowed term-at-a-time scoring after SINDI (Lin et al. 2025).
 */
#include <string.h>

#include "engine.h"

enum { STRIPE_SHIFT = 14, STRIPE_DOCS = 1 << STRIPE_SHIFT };

/* Sets the list's cursor to its postings in a window of 65,536 documents. */
static void enter_window(const sir_segment *s, sir_list *list, uint32_t window) {
    const sir_term *t = list->term;
    if (t->cell_shift != SIR_SPARSE) {
        uint64_t cells = ((uint64_t)s->num_docs + (1u << t->cell_shift) - 1) >> t->cell_shift;
        uint64_t first = (uint64_t)window << (16 - t->cell_shift), last = ((uint64_t)window + 1) << (16 - t->cell_shift);
        sir_cell_range(s, t, (uint32_t)first, (uint32_t)(last < cells ? last : cells), &list->position,
                       &list->window_end);
        return;
    }
    const uint16_t *ids = s->window_ids + t->directory_start;
    const uint32_t *starts = s->window_starts + t->directory_start;
    while (list->next_window < t->num_windows && ids[list->next_window] < window) list->next_window++;
    list->position = list->window_end = 0;
    if (list->next_window < t->num_windows && ids[list->next_window] == window) {
        uint32_t next = list->next_window + 1;
        uint32_t end = next < t->num_windows ? starts[next] : t->df;
        end = end < t->df ? end : t->df;
        list->position = starts[list->next_window] < end ? starts[list->next_window] : end;
        list->window_end = end;
    }
}

/* Adds the list's postings below local document number `limit` of the window and moves its cursor behind them. */
static uint32_t add_until(const sir_context *c, sir_list *list, uint32_t window, uint32_t limit) {
    const sir_term *t = list->term;
    uint32_t start = list->position, end = list->window_end;
    if (start >= end) return 0;
    if (limit < SIR_WINDOW_DOCS) {
        if (t->cell_shift <= STRIPE_SHIFT) {
            uint32_t cell = (uint32_t)((((uint64_t)window << 16) + limit) >> t->cell_shift);
            uint32_t stop = c->segment->cells[t->directory_start + cell];
            end = stop < start ? start : stop < end ? stop : end;
        } else {
            uint32_t stop = start;
            while (stop < end && list->docs[stop] < limit) stop++;
            end = stop;
        }
    }
    c->kernels->scatter(c->workspace->accumulator, list->docs + start, list->impacts + start, end - start,
                        list->weight);
    list->position = end;
    return end - start;
}

static void offer_stripe(sir_context *c, uint32_t first_doc, uint32_t count) {
    sir_workspace *w = c->workspace;
    const uint32_t *accumulator = w->accumulator + (first_doc & (SIR_WINDOW_DOCS - 1));
    uint32_t found = c->kernels->collect(accumulator, count, sir_topk_floor(c->top), w->positions);
    for (uint32_t i = 0; i < found; i++) sir_offer(c, first_doc + w->positions[i], accumulator[w->positions[i]]);
    c->stats->documents_scored += found;
}

void sir_engine_exhaustive(sir_context *c) {
    const sir_segment *s = c->segment;
    for (uint32_t i = 0; i < c->num_lists; i++) c->lists[i].next_window = 0;
    for (uint64_t first = 0; first < s->num_docs; first += SIR_WINDOW_DOCS) {
        uint32_t window = (uint32_t)(first >> 16);
        for (uint32_t i = 0; i < c->num_lists; i++) enter_window(s, &c->lists[i], window);
        uint64_t left = s->num_docs - first;
        uint32_t docs = left < SIR_WINDOW_DOCS ? (uint32_t)left : SIR_WINDOW_DOCS;
        for (uint32_t local = 0; local < docs; local += STRIPE_DOCS) {
            uint32_t count = docs - local < STRIPE_DOCS ? docs - local : STRIPE_DOCS;
            /* A last stripe takes everything: the directory has no cell border inside it. */
            uint32_t limit = local + STRIPE_DOCS < docs ? local + STRIPE_DOCS : SIR_WINDOW_DOCS;
            memset(c->workspace->accumulator + local, 0, sizeof(uint32_t) * STRIPE_DOCS);
            for (uint32_t i = 0; i < c->num_lists; i++)
                c->stats->postings_scored += add_until(c, &c->lists[i], window, limit);
            offer_stripe(c, (uint32_t)first + local, count);
            c->stats->blocks_visited++;
        }
    }
}
