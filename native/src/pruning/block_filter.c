/* Block filtering: bound every block, score the most promising ones to raise the threshold, then those that remain.
 *
 * After block-max pruning (Mallia, Suel, Tonellotto 2024). A block is passed over only when bound · unit, which is at
 * least every score in it, is below the smallest score that may still enter; a document equal to that score is scored,
 * and its key decides. Departures: bounds are 4-bit levels looked up in registers; blocks are scored from the postings
 * themselves, so that no second copy of the documents is kept; a batch of blocks is scored term by term, heaviest terms
 * first, and a block is dropped between two phases when its best partial score + the bound of the terms left is too small.
 * Approximate search is the same with discounted bounds of the heaviest terms alone.
 * The most promising blocks are those of all segments together: many segments cost little more than one.
 */
#include <math.h>
#include <string.h>

#include "checks.h"
#include "pruning/block_bounds.h"
#include "engine/cost.h"

enum { FIRST_BATCH = 16, FEW_ALLOWED = 4, FEW_CANDIDATES = 24 };

/* Bounds in units below this cannot hold a hit, or, discounted, are not expected to. */
static uint32_t floor_units(const sir_context *c, const sir_block_filter *f) {
    const uint64_t floor = sir_topk_floor(c->top);
    const uint64_t missing = floor > f->light ? (uint64_t)((double)(floor - f->light) / f->discount) : 0;
    const uint64_t units = (missing + f->unit - 1) / f->unit;
    return units == 0 ? 1 : units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
}

/* One past the last list of the phase that begins with list `first`. The heaviest lists are the first phase, those without a bound
 * row the second. Each phase after them takes lists until half of what the remaining ones may contribute is scored, since a check
 * between two phases drops most blocks when it comes after the heavy lists; lists that are not in the bounds have phases of their
 * own. A tail of fewer than four lists is not worth another check. */
static uint32_t phase_end(const sir_context *c, const sir_block_filter *f, uint32_t first) {
    const uint32_t behind_short = f->first_short + f->num_short;
    if (first < behind_short) return sir_min(first < f->first_short ? f->first_short : behind_short, first + SIR_PHASE_LISTS);
    const uint32_t last = first < f->num_bounded ? f->num_bounded : c->num_lists;
    uint64_t left = 0, done = 0;
    for (uint32_t i = first; i < last; i++) left += sir_largest_contribution(&c->lists[i]);
    uint32_t end = first;
    while (end < last && end - first < SIR_PHASE_LISTS && 2 * done < left) done += sir_largest_contribution(&c->lists[end++]);
    return last - end < 4 && end - first + 4 <= SIR_PHASE_LISTS ? last : end;
}

/* Makes the tasks of lists first .. last - 1 in those blocks of the batch that may hold them, and subtracts what these lists add at
 * most from the remaining bounds of the blocks. */
static uint32_t make_tasks(const sir_block_filter *f, const uint32_t *blocks, uint32_t num_slots, uint32_t first, uint32_t last) {
    const uint32_t behind_short = f->first_short + f->num_short;
    uint32_t count = 0;
    for (uint32_t i = first; i < last; i++) {
        const uint32_t row = i < f->first_short ? i : i - f->num_short; /* of list i, where it has one */
        for (uint32_t slot = 0; slot < num_slots; slot++) {
            f->tasks[count] = (sir_block_task){(uint16_t)slot, (uint16_t)i};
            if (i >= f->first_short && i < behind_short) {
                count += (f->short_lists[blocks[slot]] & sir_short_bit(i - f->first_short)) != 0;
            } else if (i < f->num_bounded) {
                const uint32_t most = f->rows[row].contribution[sir_block_level(f->rows[row].nibbles, blocks[slot])];
                SIR_ASSERT_SOUND(most <= f->remaining[slot]);
                f->remaining[slot] -= most;
                count += most != 0;
            } else {
                count++;
            }
        }
    }
    /* Of the lists without a row only the sum of their contributions is known: it is subtracted once all of them are scored. */
    for (uint32_t slot = 0; f->num_short > 0 && last == behind_short && slot < num_slots; slot++)
        f->remaining[slot] -= f->short_bounds[blocks[slot]];
    for (uint32_t i = 0; count > 0 && i < SIR_PIPELINE; i++) f->tasks[count + i] = f->tasks[count - 1];
    return count;
}

/* Drops the blocks that cannot reach the threshold with what list `next` and the later ones may still add; the others move to the
 * front. Safe in exact search: the largest score so far of a document that may be a hit, plus the bound of what is left, is at least
 * every such document's final score. */
static uint32_t drop_blocks(const sir_context *c, sir_block_filter *f, uint32_t *blocks, uint32_t num_slots, uint32_t next) {
    uint64_t light = 0;
    for (uint32_t i = sir_max(next, f->num_bounded); i < c->num_lists; i++) light += sir_largest_contribution(&c->lists[i]);
    const uint64_t floor = sir_topk_floor(c->top), more = (uint64_t)(f->light_discount * (double)light);
    uint32_t kept = 0;
    for (uint32_t slot = 0; slot < num_slots; slot++) {
        const uint32_t *from = f->accumulators + SIR_BLOCK_DOCS * slot;
        const uint64_t bounded = (uint64_t)(f->discount * ((double)f->remaining[slot] * f->unit));
        const uint32_t largest = c->kernels->block_largest(from, sir_allowed_in_block(c, blocks[slot]));
        if (largest + bounded + more < floor) continue;
        if (kept != slot) {
            memcpy(f->accumulators + SIR_BLOCK_DOCS * kept, from, sizeof *from * SIR_BLOCK_DOCS);
            blocks[kept] = blocks[slot];
            f->remaining[kept] = f->remaining[slot];
        }
        kept++;
    }
    return kept;
}

#if SIR_CHECKS > 1
/* What every list adds to a document of the block at most, in units, where all lists are in the bounds. */
static uint32_t whole_bound(const sir_block_filter *f, uint32_t block) {
    uint32_t bound = f->num_short > 0 ? f->short_bounds[block] : 0;
    for (uint32_t r = 0; r < f->num_rows; r++) bound += f->rows[r].contribution[sir_block_level(f->rows[r].nibbles, block)];
    return bound;
}
#endif

static void offer_blocks(sir_context *c, const sir_block_filter *f, const uint32_t *blocks, uint32_t num_slots) {
    for (uint32_t slot = 0; slot < num_slots; slot++) {
        const uint32_t *scores = f->accumulators + SIR_BLOCK_DOCS * slot;
        const uint32_t first = blocks[slot] << SIR_BLOCK_SHIFT;
        const uint32_t docs = sir_min(SIR_BLOCK_DOCS, c->segment->num_docs - first);
        c->stats->documents_scored += docs;
        SIR_ASSERT_SOUND(f->num_bounded < c->num_lists || f->remaining[slot] == 0);
        SIR_ASSERT_SOUND(f->num_bounded < c->num_lists ||
                         c->kernels->block_largest(scores, UINT32_MAX) <= (uint64_t)whole_bound(f, blocks[slot]) * f->unit);
        if (c->kernels->block_largest(scores, sir_allowed_in_block(c, blocks[slot])) < sir_topk_floor(c->top)) continue;
        for (uint32_t i = 0; i < docs; i++)
            if (scores[i] >= sir_topk_floor(c->top)) sir_offer(c, first + i, scores[i]);
    }
}

static void score_batch(sir_context *c, sir_block_filter *f, uint32_t *blocks, uint32_t num_slots) {
    sir_block_batch batch = {c->segment, c->lists, blocks, f->accumulators, 0};
    memset(f->accumulators, 0, sizeof *f->accumulators * SIR_BLOCK_DOCS * num_slots);
    c->stats->blocks_visited += num_slots;
    for (uint32_t first = 0, last; first < c->num_lists && num_slots > 0; first = last) {
        last = phase_end(c, f, first);
        uint32_t count = make_tasks(f, blocks, num_slots, first, last);
        c->kernels->score_tasks(&batch, f->tasks, count);
        if (last < c->num_lists) num_slots = drop_blocks(c, f, blocks, num_slots, last);
    }
    offer_blocks(c, f, blocks, num_slots);
    c->stats->postings_scored += batch.postings;
}

/* Scores blocks in batches, except those whose bound is below the threshold by the time they come up. The first batches are small,
 * so that the threshold rises early. */
static void score_all(sir_context *c, sir_block_filter *f, const uint32_t *blocks, uint32_t count) {
    uint32_t batch[SIR_BATCH_SLOTS], size = FIRST_BATCH;
    for (uint32_t i = 0; i < count; size = sir_min(2 * size, SIR_BATCH_SLOTS)) {
        uint32_t num_slots = 0;
        const uint32_t floor = floor_units(c, f);
        for (; i < count && num_slots < size; i++) {
            const uint32_t block = blocks[i], bound = f->bounds[block];
            if (bound < floor) continue;
            f->remaining[num_slots] = bound;
            f->bounds[block] = 0;
            batch[num_slots++] = block;
        }
        score_batch(c, f, batch, num_slots);
        sir_topk_tighten(c->top);
    }
}

/* A score that the bounds of at least `wanted` candidates reach, or, where candidates are not asked for, the best blocks of as many
 * superblocks: fewer numbers to select from, and good enough to start with. Over all segments. */
static uint64_t first_cut(const sir_context *segments, uint32_t num_segments, uint32_t wanted, int of_candidates) {
    uint64_t *keys = (uint64_t *)(void *)segments->workspace->positions;
    uint32_t count = 0;
    for (uint32_t i = 0; i < num_segments; i++) {
        const sir_block_filter *f = segments[i].filter;
        const uint32_t most = sir_min(SIR_WINDOW_DOCS / 2 - count, of_candidates ? f->num_candidates : f->num_supers);
        for (uint32_t j = 0; j < most; j++)
            keys[count++] = (of_candidates ? f->bounds[f->blocks[j]] : f->super_bounds[f->supers[j]]) * (uint64_t)f->unit;
    }
    if (wanted >= count) return 1;
    sir_select_largest(keys, count, wanted);
    uint64_t cut = UINT64_MAX;
    for (uint32_t i = 0; i < wanted; i++) cut = keys[i] < cut ? keys[i] : cut;
    return cut;
}

/* Candidates by falling bound, in 256 steps between the cut and the largest; in document order within a step. */
static void order_by_bound(const sir_block_filter *f) {
    if (f->num_candidates <= FEW_CANDIDATES) {
        for (uint32_t i = 0; i < f->num_candidates; i++) {
            const uint32_t block = f->blocks[i];
            uint32_t at = i;
            for (; at > 0 && f->bounds[f->ordered[at - 1]] < f->bounds[block]; at--) f->ordered[at] = f->ordered[at - 1];
            f->ordered[at] = block;
        }
        return;
    }
    uint32_t starts[257] = {0}, largest = f->cut;
    for (uint32_t i = 0; i < f->num_candidates; i++) largest = sir_max(largest, f->bounds[f->blocks[i]]);
    const uint32_t span = largest - f->cut + 1;
    for (uint32_t i = 0; i < f->num_candidates; i++) starts[(largest - f->bounds[f->blocks[i]]) * 256 / span + 1]++;
    for (uint32_t i = 0; i < 256; i++) starts[i + 1] += starts[i];
    for (uint32_t i = 0; i < f->num_candidates; i++)
        f->ordered[starts[(largest - f->bounds[f->blocks[i]]) * 256 / span]++] = f->blocks[i];
}

/* Makes candidates of the blocks whose bound reaches both `score` and the threshold, in every segment; returns what scoring them
 * would cost. */
static double collect_candidates(sir_context *segments, uint32_t num_segments, uint64_t score) {
    double cost = 0;
    for (uint32_t i = 0; i < num_segments; i++) {
        const sir_context *c = &segments[i];
        sir_block_filter *f = c->filter;
        const uint64_t units = (score + f->unit - 1) / f->unit;
        f->cut = sir_max(units > UINT32_MAX ? UINT32_MAX : (uint32_t)units, floor_units(c, f));
        f->num_candidates =
            c->kernels->collect_bounds(f->bounds, c->segment->num_blocks, f->cut, f->filtered ? f->allowed : NULL, f->blocks);
        cost += sir_cost_blocks(c, f->num_candidates);
    }
    return cost;
}

/* Loads where the first batch finds its postings: in the lists of its first phase, or in all where there are so few candidates that
 * most of them will be hits. Of many segments each has few: too few tasks at a time to hide the waits for memory among themselves. */
static void prefetch_candidates(const sir_context *c, const sir_block_filter *f) {
    enum { FEW = 4 };
    const sir_segment *s = c->segment;
    const uint32_t blocks = sir_min(f->num_candidates, FIRST_BATCH), lists = blocks <= FEW ? c->num_lists : phase_end(c, f, 0);
    for (uint32_t i = 0; blocks > 0 && i < lists; i++) {
        const sir_term *t = c->lists[i].term;
        if (t->cell_shift == SIR_SPARSE) continue;
        const uint32_t *cells = s->cells + t->directory_start;
        const uint64_t *bits = s->bits != NULL && t->bits_row != SIR_NO_ROW ? s->bits + t->bits_row * s->bits_stride : NULL;
        for (uint32_t j = 0; j < blocks; j++) {
            __builtin_prefetch(cells + (f->ordered[j] >> (t->cell_shift - SIR_BLOCK_SHIFT)));
            if (bits != NULL) __builtin_prefetch(bits + f->ordered[j] / 2);
        }
    }
}

static void score_candidates(sir_context *segments, uint32_t num_segments) {
    for (uint32_t i = 0; i < num_segments; i++) {
        order_by_bound(segments[i].filter);
        if (num_segments > 1) prefetch_candidates(&segments[i], segments[i].filter);
    }
    for (uint32_t i = 0; i < num_segments; i++) {
        sir_context *c = &segments[i];
        const uint32_t count = sir_min(c->filter->num_candidates, c->blocks_left);
        if (count == 0) continue;
        score_all(c, c->filter, c->filter->ordered, count);
        c->blocks_left -= count;
    }
}

static void prefetch_bytes(const void *from, uint64_t count) {
    for (uint64_t i = 0; i < count; i += 64) __builtin_prefetch((const char *)from + i, 0, 2);
}

/* Loads what bounding a small segment reads. Its pieces of rows and lists are too short for the processor to see the
 * streams by itself: many segments would wait for memory at the start of every piece. */
static void prefetch_bounds(const sir_context *c) {
    enum { MOST_SUPERS = 128, MOST_POSTINGS = 2048 };
    if (c->segment->num_supers > MOST_SUPERS) return;
    for (uint32_t i = 0; i < c->num_lists; i++) {
        const sir_list *list = &c->lists[i];
        const uint64_t row = list->term->bound_row;
        if (row != SIR_NO_ROW) {
            prefetch_bytes(c->segment->block_max + 32 * row * c->segment->num_supers, 32 * (uint64_t)c->segment->num_supers);
            continue;
        }
        const uint32_t postings = sir_min(list->term->df, MOST_POSTINGS);
        if (list->docs != NULL) prefetch_bytes(list->docs, sizeof *list->docs * (uint64_t)postings);
        if (list->doc_lows != NULL) prefetch_bytes(list->doc_lows, postings);
        prefetch_bytes(list->impacts, postings);
    }
}

int sir_block_filter_search(sir_context *segments, uint32_t num_segments, double budget) {
    uint64_t blocks = 0, all_blocks = 0;
    for (uint32_t i = 0; i < num_segments; i++)
        if (segments[i].num_lists > SIR_BLOCK_FILTER_TERMS) return 0;
    for (uint32_t i = 0; i < num_segments; i++) {
        sir_block_filter *f = segments[i].filter;
        if (i + 1 < num_segments) prefetch_bounds(&segments[i + 1]);
        sir_bound_all_blocks(&segments[i], f);
        blocks += f->num_blocks;
        all_blocks += segments[i].segment->num_blocks;
    }
    /* The most promising blocks raise the threshold; before, the number of candidates says nothing. Under a selective
     * filter a superblock's best block is mostly not allowed, but all that are can be looked through. */
    const int selective = FEW_ALLOWED * blocks <= all_blocks;
    const uint32_t wanted = sir_max(16, sir_min(segments->top->k / 4, 256));
    if (selective) collect_candidates(segments, num_segments, 1);
    const uint64_t cut = first_cut(segments, num_segments, wanted, selective);
    if (collect_candidates(segments, num_segments, cut) > budget) return 0;
    score_candidates(segments, num_segments);
    if (collect_candidates(segments, num_segments, 1) > budget) return 0;
    score_candidates(segments, num_segments);
    return 1;
}

static void filter_or_score_all(sir_context *segments, uint32_t num_segments, uint32_t engine) {
    for (uint32_t i = 0; i < num_segments; i++) sir_choose_blocks(&segments[i], segments[i].filter);
    if (sir_block_filter_search(segments, num_segments, INFINITY))
        segments->stats->queries[engine] += num_segments;
    else
        sir_search_each(segments, num_segments, sir_engine_exhaustive);
}

void sir_engine_block_filter(sir_context *segments, uint32_t num_segments) {
    filter_or_score_all(segments, num_segments, SIR_ENGINE_BLOCK_FILTER);
}

void sir_engine_approximate(sir_context *segments, uint32_t num_segments) {
    filter_or_score_all(segments, num_segments, SIR_ENGINE_APPROXIMATE);
}
