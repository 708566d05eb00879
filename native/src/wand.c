/* WAND (Broder et al. 2003) and Block-Max WAND (Ding and Suel 2011), document at a time, in ranges of documents.
 *
 * The lists are sorted by the documents of their cursors. The pivot is the first at which the lists' upper bounds add up to
 * a score that may enter: no document before the pivot's can, since only lists before the pivot may hold it. Lists behind
 * the pivot stay there until what they may add decides about a document, as in Lucene's WANDScorer.
 * Bounds are those of the range: of a superblock in WAND, of a block in Block-Max WAND, whose bounds are made for all
 * blocks at once (Dimopoulos et al. 2013). A range whose bounds together are too small is passed over without moving a
 * cursor. The most promising ranges come first, so that the threshold is high in most of them.
 */
#include <string.h>

#include "block_filter.h"
#include "cursor.h"

enum { SUPER_SHIFT = 11, PASSES = 5 };
_Static_assert(1 << SUPER_SHIFT == SIR_SUPER_BLOCKS * SIR_BLOCK_DOCS, "documents of a superblock");

/* Ranges of 2^shift documents. */
typedef struct ranges {
    uint32_t count, shift;
    uint32_t *bounds; /* at least every score of a document that may be a hit; 0 once the range is searched */
    uint32_t (*list_bound)(const sir_segment *s, const sir_list *list, uint32_t range); /* what one list contributes */
} ranges;

static uint32_t super_bound(const sir_segment *s, const sir_list *list, uint32_t super) {
    const uint64_t row = list->term->bound_row;
    return list->weight * (row == SIR_NO_ROW ? list->term->list_max : s->super_max[row * s->num_supers + super]);
}

static uint32_t block_bound(const sir_segment *s, const sir_list *list, uint32_t block) {
    const uint64_t row = list->term->bound_row;
    if (row == SIR_NO_ROW) return list->weight * list->term->list_max;
    const uint32_t level = sir_block_level(s->block_max + 32 * row * s->num_supers, block);
    return list->weight * s->levels[SIR_NUM_LEVELS * row + level];
}

/* The lists that may hold a document of the range: those that have fallen behind the pivot, by rising worth, then the
 * others by rising document. A cursor moves when it is asked for a document. */
typedef struct leads {
    sir_lead *order;
    uint32_t behind, count;
    uint64_t total; /* of the bounds */
} leads;

/* Index of the last lead on the pivot document, which the bounds up to it reach the floor at; *most receives their sum. The
 * total must reach the floor. Looked for from the end, where the pivot mostly is; the leads behind fall short. */
static uint32_t find_pivot(const leads *l, uint32_t floor, uint64_t *most) {
    uint32_t last = l->count - 1;
    *most = l->total;
    while (*most - l->order[last].bound >= floor) *most -= l->order[last--].bound;
    while (last + 1 < l->count && l->order[last + 1].doc == l->order[last].doc) *most += l->order[++last].bound;
    return last;
}

static void insert_by_worth(sir_lead *order, uint32_t count, sir_lead lead) {
    for (; count > 0 && order[count - 1].worth > lead.worth; count--) order[count] = order[count - 1];
    order[count] = lead;
}

/* Scores the pivot document, which leads 0 .. last can give `score` at most. Their cursors are asked for it, those on it
 * first, then by falling worth, until what is left is too little. Every call raises a lead's document. */
static void score_pivot(sir_context *c, leads *l, uint32_t last, uint64_t score) {
    sir_lead *order = l->order;
    const uint32_t doc = order[last].doc, floor = sir_topk_floor(c->top);
    for (; order[l->behind].doc < doc; l->behind++) insert_by_worth(order, l->behind, order[l->behind]);
    uint32_t left = last + 1;
    while (left > 0 && score >= floor) {
        sir_lead *lead = &order[--left];
        sir_cursor_next_geq(c->segment, lead->cursor, doc);
        score -= lead->bound;
        if (lead->cursor->doc == doc) {
            score += sir_cursor_product(lead->cursor);
            c->stats->postings_scored++;
            sir_cursor_next_geq(c->segment, lead->cursor, doc + 1);
        }
        lead->doc = lead->cursor->doc;
    }
    if (left == 0 && score >= floor) sir_offer(c, doc, (uint32_t)score);
    c->stats->documents_scored++;
    l->behind = sir_min(l->behind, left);
    for (uint32_t i = last + 1; i-- > left;) { /* back into order; those from last + 1 on are in order */
        const sir_lead lead = order[i];
        uint32_t at = i;
        for (; at + 1 < l->count && order[at + 1].doc < lead.doc; at++) order[at] = order[at + 1];
        order[at] = lead;
    }
}

/* No cursor moves; of leads on the same document the worthiest is last. */
static leads choose_leads(sir_context *c, const ranges *r, uint32_t range, uint32_t end) {
    leads l = {.order = c->workspace->order};
    for (uint32_t i = 0; i < c->num_lists; i++) {
        sir_cursor *cursor = &c->workspace->cursors[i];
        if (cursor->doc >= end) continue;
        const uint32_t bound = r->list_bound(c->segment, &cursor->list, range), doc = sir_max(range << r->shift, cursor->doc);
        if (bound == 0) continue;
        const sir_lead lead = {doc, bound, (float)bound / (float)cursor->list.term->df, cursor};
        uint32_t at = l.count++;
        for (; at > 0 && (l.order[at - 1].doc > doc || (l.order[at - 1].doc == doc && l.order[at - 1].worth > lead.worth)); at--)
            l.order[at] = l.order[at - 1];
        l.order[at] = lead;
        l.total += bound;
    }
    return l;
}

static void search_range(sir_context *c, const ranges *r, uint32_t range) {
    const uint32_t begin = range << r->shift, end = begin + sir_min(c->segment->num_docs - begin, 1u << r->shift);
    leads l = choose_leads(c, r, range, end);
    for (uint32_t pivots = 0;; pivots++) {
        while (l.count > 0 && l.order[l.count - 1].doc >= end) l.total -= l.order[--l.count].bound;
        const uint32_t floor = sir_topk_floor(c->top); /* at least 1 */
        uint64_t most;
        if (l.total < floor) {
            c->stats->bounds_computed += pivots;
            c->stats->blocks_visited += pivots > 0;
            return;
        }
        const uint32_t last = find_pivot(&l, floor, &most);
        score_pivot(c, &l, last, most);
    }
}

/* Every pass takes the ranges in the upper part of what lies between the threshold and the largest bound: a sixteenth,
 * then twice as much each time, at last all. */
static void search_ranges(sir_context *c, const ranges *r) {
    uint32_t *chosen = c->filter->blocks; /* room for the blocks of whole superblocks: count rounded up to 64 */
    uint32_t largest = 0;
    for (uint32_t i = 0; i < r->count; i++) largest = sir_max(largest, r->bounds[i]);
    for (uint32_t pass = 1; pass <= PASSES; pass++) {
        const uint32_t floor = sir_topk_floor(c->top);
        if (largest < floor) return;
        const uint32_t cut = largest - ((largest - floor) >> (PASSES - pass));
        const uint32_t found = c->kernels->collect(r->bounds, r->count, cut, NULL, chosen);
        sir_start_cursors(c);
        for (uint32_t i = 0; i < found; i++) {
            if (r->bounds[chosen[i]] < sir_topk_floor(c->top)) continue;
            r->bounds[chosen[i]] = 0;
            search_range(c, r, chosen[i]);
        }
        sir_topk_tighten(c->top);
    }
}

void sir_engine_wand(sir_context *c) {
    const sir_segment *s = c->segment;
    const sir_block_filter *f = c->filter;
    const ranges r = {s->num_supers, SUPER_SHIFT, f->ordered, super_bound};
    c->stats->queries[SIR_ENGINE_WAND]++;
    c->stats->bounds_computed += s->num_supers;
    sir_choose_blocks(c, c->filter);
    memset(r.bounds, 0, sizeof *r.bounds * r.count);
    for (uint32_t i = 0; i < c->num_lists; i++)
        for (uint32_t super = 0; super < s->num_supers; super++) r.bounds[super] += super_bound(s, &c->lists[i], super);
    for (uint32_t super = 0; f->filtered && super < s->num_supers; super++)
        if (f->allowed[super] == 0) r.bounds[super] = 0;
    search_ranges(c, &r);
}

void sir_engine_block_max_wand(sir_context *c) {
    const sir_segment *s = c->segment;
    const sir_block_filter *f = c->filter;
    const ranges r = {s->num_blocks, SIR_BLOCK_SHIFT, f->ordered, block_bound};
    if (c->num_lists > SIR_BLOCK_FILTER_TERMS) {
        sir_engine_wand(c);
        return;
    }
    c->stats->queries[SIR_ENGINE_BLOCK_MAX_WAND]++;
    sir_choose_blocks(c, c->filter);
    sir_bound_all_blocks(c, c->filter);
    for (uint32_t i = 0; i < s->num_blocks; i++) {
        const int wanted = !f->filtered || (f->allowed[i / SIR_SUPER_BLOCKS] >> (i % SIR_SUPER_BLOCKS) & 1) != 0;
        /* No score is above INT32_MAX, up to which collect compares. */
        r.bounds[i] = wanted ? sir_min(f->bounds[i] * f->unit, INT32_MAX) : 0;
    }
    search_ranges(c, &r);
}
