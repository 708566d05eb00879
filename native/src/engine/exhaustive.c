/* Exhaustive scoring, term at a time over windows of 65,536 documents whose accumulators stay in the second-level cache.
 *
 * Every posting of every query term is added; only the choice of hits uses a threshold. Correct because an accumulator
 * is compared after all terms have been added to its window. Windowed term-at-a-time scoring after SINDI (2025). New
 * here: the most frequent terms, which hold most postings of a long query, are scored from bitmaps, 64 documents and
 * four terms at a time, which also saves clearing the accumulators. Windows of a first-level cache's size were measured
 * 1.4 times slower: each list's share of them is too short for the memory system.
 */
#include <string.h>

#include "engine/engine.h"

/* Prefetches the beginning of a list of the segment that is searched next, and its directory. */
static inline void prefetch_first(const sir_context *next, uint32_t i) {
    if (next == NULL || i >= next->num_lists) return;
    const sir_list *list = &next->lists[i];
    if (list->term->cell_shift != SIR_SPARSE) __builtin_prefetch(next->segment->cells + list->term->directory_start);
    __builtin_prefetch(list->impacts);
    __builtin_prefetch(list->docs != NULL ? (const void *)list->docs : list->doc_bits);
    if (list->docs != NULL) __builtin_prefetch(list->docs + 32);
    if (list->doc_lows != NULL) __builtin_prefetch(list->doc_lows);
}

/* Prefetches the beginning of the list's next window; the processor follows the stream from there. */
static inline void prefetch_next(const sir_list *list) {
    __builtin_prefetch(list->impacts + list->end);
    if (list->docs == NULL) {
        if (list->doc_lows != NULL) __builtin_prefetch(list->doc_lows + list->end);
        return;
    }
    __builtin_prefetch(list->docs + list->end);
    __builtin_prefetch(list->docs + list->end + 32);
}

/* Puts the lists to be scored from their bitmaps first, and returns how many they are.
 * Four terms cost as much as one, about what 0.06·N scattered additions cost. */
static uint32_t bitmap_lists_first(sir_context *c) {
    const sir_segment *s = c->segment;
    uint32_t count = 0;
    if (s->bits == NULL || c->kernels->bitmap_scores == NULL) return 0;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        if (c->lists[i].term->bits_row == SIR_NO_ROW) continue;
        sir_list list = c->lists[i];
        c->lists[i] = c->lists[count];
        uint32_t at = count++; /* by falling df, so that the rest of an incomplete four are the shortest */
        for (; at > 0 && c->lists[at - 1].term->df < list.term->df; at--) c->lists[at] = c->lists[at - 1];
        c->lists[at] = list;
    }
    uint64_t rest = 0;
    for (uint32_t i = count - count % 4; i < count; i++) rest += c->lists[i].term->df;
    return rest * 16 < s->num_docs ? count - count % 4 : count;
}

static void score_bitmaps(sir_context *c, uint32_t num_bitmaps, uint64_t first_doc, uint32_t count) {
    sir_bitmap_cursor *cursors = c->workspace->bitmaps;
    const uint32_t rounded = (num_bitmaps + 3) / 4 * 4;
    for (uint32_t i = 0; i < rounded; i++) {
        const sir_list *list = &c->lists[i < num_bitmaps ? i : 0];
        const uint32_t weight = i < num_bitmaps ? list->weight : 0;
        cursors[i].bits = c->segment->bits + list->term->bits_row * c->segment->bits_stride + first_doc / 64;
        cursors[i].impacts = list->impacts + list->start;
        cursors[i].end = list->impacts + list->term->df;
        sir_bitmap_cursor *four = &cursors[i - i % 4];
        if (i % 4 == 0) four->low_weights = four->high_weights = 0;
        four->low_weights |= (weight & 0x7F) << (8 * (i % 4));
        four->high_weights |= weight >> 7 << (8 * (i % 4));
    }
    const uint64_t *mask = c->mask == NULL ? NULL : c->mask + first_doc / 64;
    c->kernels->bitmap_scores(c->workspace->accumulator, (count + 63) / 64, mask, cursors, rounded);
}

static void offer_window(sir_context *c, uint32_t first_doc, uint32_t count) {
    sir_workspace *w = c->workspace;
    const uint64_t *mask = c->mask == NULL ? NULL : c->mask + first_doc / 64;
    uint32_t found = c->kernels->collect(w->accumulator, count, sir_topk_floor(c->top), mask, w->positions);
    for (uint32_t i = 0; i < found; i++) {
        uint32_t position = w->positions[i];
        sir_topk_push(c->top, sir_key(w->accumulator[position], sir_ordinal_offset(c, first_doc + position)));
    }
    c->stats->documents_scored += count;
}

/* Whether any of the documents may be a hit. */
static int any_allowed(const sir_context *c, uint64_t first, uint32_t count) {
    if (c->mask == NULL) return 1;
    for (uint64_t word = first / 64; word < (first + count + 63) / 64; word++)
        if (c->mask[word] != 0) return 1;
    return 0;
}

void sir_engine_exhaustive(sir_context *c) {
    const sir_segment *s = c->segment;
    sir_workspace *w = c->workspace;
    const uint32_t num_bitmaps = bitmap_lists_first(c);
    c->stats->queries[SIR_ENGINE_EXHAUSTIVE]++;
    /* A block filter that gave up has left the short lists at their last windows. */
    for (uint32_t i = 0; i < c->num_lists; i++) c->lists[i].next_window = 0;
    for (uint64_t first = 0; first < s->num_docs; first += SIR_WINDOW_DOCS) {
        const uint64_t left = s->num_docs - first;
        const uint32_t count = left < SIR_WINDOW_DOCS ? (uint32_t)left : SIR_WINDOW_DOCS;
        if (!any_allowed(c, first, count)) continue;
        for (uint32_t i = 0; i < c->num_lists; i++) {
            sir_enter_window(s, &c->lists[i], (uint32_t)(first >> 16));
            c->stats->postings_scored += c->lists[i].end - c->lists[i].start;
        }
        if (num_bitmaps > 0)
            score_bitmaps(c, num_bitmaps, first, count);
        else
            memset(w->accumulator, 0, sizeof *w->accumulator * ((count + 63) / 64 * 64));
        for (uint32_t i = num_bitmaps; i < c->num_lists; i++) {
            sir_list *list = &c->lists[i];
            if (left > SIR_WINDOW_DOCS)
                prefetch_next(list);
            else
                prefetch_first(c->next, i);
            const uint16_t *docs = sir_window_docs(c, list, (uint32_t)(first >> 16));
            c->kernels->scatter(w->accumulator, docs, list->impacts + list->start, list->end - list->start, list->weight);
        }
        offer_window(c, (uint32_t)first, count);
        c->stats->blocks_visited++;
    }
}
