/* WAND (Broder et al. 2003) and Block-Max WAND (Ding and Suel 2011), document at a time, in ranges of documents.
 *
 * The lists are sorted by the documents of their cursors. The pivot is the first document at which the upper bounds of the lists
 * up to it add up to a score that may enter. No earlier document can enter, because only the lists before the pivot may hold it.
 * A list that lies before the pivot is not moved up to it until the pivot cannot be decided without it, as in Lucene's WANDScorer.
 * Bounds are those of the range: of a superblock in WAND, of a block in Block-Max WAND, whose bounds are made for all blocks at
 * once (Dimopoulos et al. 2013). A range whose bounds add up to too little is passed over without moving a cursor, since they
 * bound every score in it. The most promising ranges come first, so that the threshold is high in most of them.
 */
#include <string.h>

#include "checks.h"
#include "pruning/block_bounds.h"
#include "postings/cursor.h"

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

/* The lists that may hold a document of the range, in two parts. The first `behind` are those whose document lies before the
 * last pivot's, by rising worth: they could not settle that pivot, and stay until one needs them. The others follow by rising
 * document. */
typedef struct leads {
    sir_lead *order;
    uint32_t behind, count;
    uint64_t total; /* of the bounds */
} leads;

#if SIR_CHECKS > 0
static int leads_in_order(const leads *l) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < l->count; i++) total += l->order[i].bound;
    for (uint32_t i = 1; i < l->behind; i++)
        if (l->order[i - 1].worth > l->order[i].worth) return 0;
    for (uint32_t i = l->behind + 1; i < l->count; i++)
        if (l->order[i - 1].doc > l->order[i].doc) return 0;
    return total == l->total && l->behind <= l->count;
}
#endif

/* The pivot is the first document that can reach the floor: the smallest at which the bounds of all leads up to it do. Returns the
 * index of the last lead on it; *most receives the sum of the bounds up to there, which bounds its score. The total must reach the
 * floor. The search goes down from the end, where the pivot mostly is; the leads behind never reach the floor by themselves. */
static uint32_t find_pivot(const leads *l, uint32_t floor, uint64_t *most) {
    uint32_t last = l->count - 1;
    *most = l->total;
    while (*most - l->order[last].bound >= floor) *most -= l->order[last--].bound;
    while (last + 1 < l->count && l->order[last + 1].doc == l->order[last].doc) *most += l->order[++last].bound;
    SIR_ASSERT(last >= l->behind);
    return last;
}

static void insert_by_worth(sir_lead *order, uint32_t count, sir_lead lead) {
    for (; count > 0 && order[count - 1].worth > lead.worth; count--) order[count] = order[count - 1];
    order[count] = lead;
}

/* Scores the pivot document, which leads 0..last together give `score` at most. Their cursors are asked for it, those on it first,
 * then by falling worth. Each answer replaces a bound by what the list really adds; once the sum is below the floor the document
 * cannot be a hit, and the lists not yet asked stay where they are. At least one lead is asked, whose document then lies past the
 * pivot, so that the search ends. */
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
            const uint32_t product = sir_cursor_product(lead->cursor);
            SIR_ASSERT_SOUND(product <= lead->bound);
            score += product;
            c->stats->postings_scored++;
            sir_cursor_next_geq(c->segment, lead->cursor, doc + 1);
        }
        lead->doc = lead->cursor->doc;
        SIR_ASSERT(lead->doc > doc);
    }
    SIR_ASSERT(left <= last);
    if (left == 0 && score >= floor) sir_offer(c, doc, (uint32_t)score);
    c->stats->documents_scored++;
    l->behind = sir_min(l->behind, left);
    for (uint32_t i = last + 1; i-- > left;) { /* those asked go back into order; the leads from last + 1 on are in order */
        const sir_lead lead = order[i];
        uint32_t at = i;
        for (; at + 1 < l->count && order[at + 1].doc < lead.doc; at++) order[at] = order[at + 1];
        order[at] = lead;
    }
    SIR_ASSERT(leads_in_order(l));
}

/* The leads of a range, with no cursor moved: a list's document is its cursor's, or the range's first where that lies before. Of
 * leads on the same document the worthiest comes last, where asking begins. */
static leads choose_leads(sir_context *c, const ranges *r, uint32_t range, uint32_t end) {
    leads l = {.order = c->workspace->leads};
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
    SIR_ASSERT(leads_in_order(&l));
    return l;
}

static void search_range(sir_context *c, const ranges *r, uint32_t range) {
    const uint32_t begin = range << r->shift, end = begin + sir_min(c->segment->num_docs - begin, 1u << r->shift);
    leads l = choose_leads(c, r, range, end);
    SIR_ASSERT(r->list_bound != super_bound || l.total <= r->bounds[range]); /* blocks' bounds are rounded otherwise */
    r->bounds[range] = 0;
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

/* The ranges are searched in passes: first those whose bound lies in the upper sixteenth of what lies between the threshold and the
 * largest bound, then in the upper eighth and so on, at last all. The threshold is thus near its end before most ranges are met.
 * Within a pass the documents rise, as cursors need it, and every pass starts the cursors again. */
static void search_ranges(sir_context *c, const ranges *r) {
    uint32_t *chosen = c->workspace->range_order;
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
            search_range(c, r, chosen[i]);
        }
        sir_topk_tighten(c->top);
    }
}

void sir_engine_wand(sir_context *c) {
    const sir_segment *s = c->segment;
    const sir_block_filter *f = c->filter;
    const ranges r = {s->num_supers, SUPER_SHIFT, c->workspace->range_bounds, super_bound};
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
    const ranges r = {s->num_blocks, SIR_BLOCK_SHIFT, c->workspace->range_bounds, block_bound};
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
