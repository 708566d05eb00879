/* MaxScore (Turtle and Flood 1995) over windows of 65,536 documents.
 *
 * Per window every list has an upper bound: its weight times the largest of the window's superblock maxima. Sorted by it,
 * the longest prefix of lists whose bounds together stay below the smallest score that may enter is non-essential: a
 * document that only they hold cannot be a hit. The essential lists are added up in the window's accumulators; a document
 * is completed from the non-essential ones, strongest first, for as long as what it has + what they can still add reaches
 * the threshold. Windows instead of single documents, after the design of Mallia et al.'s and Lucene's long-query scorers.
 */
#include <string.h>

#include "checks.h"
#include "postings/cursor.h"

static uint64_t window_bound(const sir_segment *s, const sir_list *list, uint32_t window) {
    const uint64_t row = list->term->bound_row;
    if (row == SIR_NO_ROW) return list->weight * (uint64_t)list->term->list_max;
    const uint32_t per_window = SIR_WINDOW_DOCS / (SIR_BLOCK_DOCS * SIR_SUPER_BLOCKS);
    const uint32_t first = window * per_window, last = sir_min(first + per_window, s->num_supers);
    uint32_t largest = 0;
    for (uint32_t i = first; i < last; i++) largest = sir_max(largest, s->super_max[row * s->num_supers + i]);
    return (uint64_t)list->weight * largest;
}

/* Orders the lists by rising bound in the window and returns how many are non-essential: a document that only these hold scores less
 * than the floor. */
static uint32_t part_lists(sir_context *c, uint32_t window, uint32_t floor) {
    sir_window_list *lists = c->workspace->window_lists;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        sir_window_list list = lists[i];
        list.bound = window_bound(c->segment, list.list, window);
        uint32_t at = i;
        for (; at > 0 && lists[at - 1].bound > list.bound; at--) lists[at] = lists[at - 1];
        lists[at] = list;
    }
    uint64_t sum = 0;
    uint32_t count = 0;
    for (; count < c->num_lists; count++) {
        sum += lists[count].bound;
        if (sum >= floor) break;
        lists[count].bounds_until = sum;
    }
    c->stats->bounds_computed += c->num_lists;
    return count;
}

/* Impact of a document in a packed list, through the list's cursor; 0 when it is not there. */
static uint32_t packed_impact(const sir_segment *s, sir_cursor *cursor, uint32_t doc) {
    sir_cursor_next_geq(s, cursor, doc);
    return cursor->doc == doc ? cursor->list.impacts[cursor->position] : 0;
}

/* Impact of a document of the window, from list->start on, which never moves back; 0 when the list does not hold it. */
static uint32_t impact_of(const sir_segment *s, const sir_window_list *l, uint32_t window, uint32_t local) {
    sir_list *list = l->list;
    const sir_term *t = list->term;
    if (list->docs == NULL) return packed_impact(s, l->cursor, window * SIR_WINDOW_DOCS + local);
    uint32_t at = list->start, end = list->end;
    if (t->cell_shift != SIR_SPARSE) {
        const uint32_t cell = (uint32_t)((((uint64_t)window << 16) + local) >> t->cell_shift);
        uint32_t first, last;
        sir_cell_range(s, t, cell, cell + 1, &first, &last);
        at = sir_max(at, first);
        end = sir_min(end, last);
    }
    while (at + 64 < end && list->docs[at + 64] <= local) at += 64;
    while (at < end && list->docs[at] < local) at++;
    list->start = sir_max(list->start, at);
    return at < end && list->docs[at] == local ? list->impacts[at] : 0;
}

static void complete(sir_context *c, uint32_t num_optional, uint32_t window, uint32_t local, uint32_t score) {
    const sir_window_list *lists = c->workspace->window_lists;
    for (uint32_t i = num_optional; i-- > 0;) {
        if (score + lists[i].bounds_until < sir_topk_floor(c->top)) return;
        const uint32_t impact = impact_of(c->segment, &lists[i], window, local);
        SIR_ASSERT_SOUND(impact * lists[i].list->weight <= lists[i].bound);
        score += lists[i].list->weight * impact;
        c->stats->postings_scored += impact != 0;
    }
    if (score < sir_topk_floor(c->top)) return;
    const uint32_t doc = window * SIR_WINDOW_DOCS + local;
    sir_topk_push(c->top, sir_key(score, sir_ordinal_offset(c, doc)));
}

static void search_window(sir_context *c, uint32_t window, uint32_t docs) {
    const sir_segment *s = c->segment;
    sir_workspace *w = c->workspace;
    const uint32_t floor = sir_topk_floor(c->top), num_optional = part_lists(c, window, floor);
    if (num_optional == c->num_lists) return;
    memset(w->accumulator, 0, sizeof *w->accumulator * ((docs + 63) / 64 * 64));
    for (uint32_t i = 0; i < c->num_lists; i++) {
        sir_list *list = w->window_lists[i].list;
        sir_enter_window(s, list, window);
        if (i < num_optional) continue;
        const uint16_t *locals = sir_window_docs(c, list, window);
        c->kernels->scatter(w->accumulator, locals, list->impacts + list->start, list->end - list->start, list->weight);
        c->stats->postings_scored += list->end - list->start;
    }
    c->stats->blocks_visited++;
    /* A document without an essential term has 0 and is never wanted: the optional bounds alone stay below the floor. */
    const uint64_t optional = num_optional == 0 ? 0 : w->window_lists[num_optional - 1].bounds_until;
    SIR_ASSERT(optional < floor);
    const uint64_t *mask = c->mask == NULL ? NULL : c->mask + (uint64_t)window * (SIR_WINDOW_DOCS / 64);
    const uint32_t found = c->kernels->collect(w->accumulator, docs, (uint32_t)(floor - optional), mask, w->positions);
    for (uint32_t i = 0; i < found; i++) complete(c, num_optional, window, w->positions[i], w->accumulator[w->positions[i]]);
    c->stats->documents_scored += found;
}

void sir_engine_maxscore(sir_context *c) {
    c->stats->queries[SIR_ENGINE_MAXSCORE]++;
    for (uint32_t i = 0; i < c->num_lists; i++)
        c->workspace->window_lists[i] = (sir_window_list){.list = &c->lists[i], .cursor = &c->workspace->cursors[i]};
    if (c->segment->packed) sir_start_cursors(c); /* documents of packed lists are looked up through cursors */
    for (uint64_t first = 0; first < c->segment->num_docs; first += SIR_WINDOW_DOCS) {
        const uint64_t left = c->segment->num_docs - first;
        search_window(c, (uint32_t)(first >> 16), left < SIR_WINDOW_DOCS ? (uint32_t)left : SIR_WINDOW_DOCS);
    }
}
