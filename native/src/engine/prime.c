/* The threshold that a search starts with, from the ladders of largest impacts.
 *
 * A list's ladder holds its impacts of rank 1, 2, 4, .... Where the lists of one term in all segments have k live postings of at
 * least impact v together, k documents score at least v times the term's weight. Of 2^j postings at least 2^j less the segment's
 * deleted documents are live. Under a filter nothing is known about which documents a ladder counts. */
#include <string.h>

#include "engine/engine.h"

/* Adds how many live postings a list is known to have of each impact it names on its ladder, beyond those of larger impacts.
 * Entries past the first rank of at least `enough` are not needed. */
static void count_ladder(const sir_segment *s, const sir_list *list, uint64_t enough, uint64_t counts[256]) {
    const uint8_t *ladder = &s->ladder[16 * (uint64_t)list->index];
    uint64_t known = 0;
    for (uint32_t step = 0; step < SIR_LADDER_STEPS && ladder[step] > 0; step++) {
        const uint64_t rank = (uint64_t)1 << step, live = rank > s->num_deleted ? rank - s->num_deleted : 0;
        counts[ladder[step]] += live - known;
        known = live;
        if (live >= enough) return;
    }
}

/* The largest impact that k documents are known to have at least; 0: none is. */
static uint32_t shared_impact(const uint64_t counts[256], uint32_t k) {
    uint64_t seen = 0;
    for (uint32_t impact = 255; impact > 0; impact--)
        if ((seen += counts[impact]) >= k) return impact;
    return 0;
}

/* In one segment the step is the same for all terms, and all are asked. */
static void prime_one(const sir_context *c, uint32_t k) {
    const uint64_t rank = (uint64_t)k + c->segment->num_deleted;
    uint32_t step = 0;
    while (((uint64_t)1 << step) < rank) step++;
    if (step >= SIR_LADDER_STEPS) return;
    for (uint32_t i = 0; i < c->num_lists; i++)
        sir_topk_prime(c->top, c->lists[i].weight * c->segment->ladder[16 * (uint64_t)c->lists[i].index + step]);
}

void sir_prime(const sir_context *segments, uint32_t num_segments, uint32_t k) {
    uint64_t counts[256];
    if (num_segments == 1 && segments->mask == segments->segment->live) prime_one(segments, k);
    for (uint32_t number = 0; num_segments > 1 && number < SIR_PRIMED_TERMS; number++) {
        uint32_t weight = 0;
        memset(counts, 0, sizeof counts);
        for (uint32_t i = 0; i < num_segments; i++) {
            const sir_context *c = &segments[i];
            if (c->mask != c->segment->live) continue;
            for (uint32_t l = 0; l < c->num_lists && c->lists[l].start <= number; l++) {
                if (c->lists[l].start != number) continue;
                weight = c->lists[l].weight;
                count_ladder(c->segment, &c->lists[l], k, counts);
            }
        }
        sir_topk_prime(segments->top, weight * shared_impact(counts, k));
    }
}
