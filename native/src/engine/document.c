/* Single documents out of the posting lists: scores over the stored weights, and the whole vectors of a few. */
#include <inttypes.h>
#include <string.h>

#include "postings/cursor.h"

/* Number of the term's posting of doc_id, from its first, or df when the document lacks it. */
static uint32_t find_posting(const sir_index *index, const sir_segment *s, const sir_list *list, uint32_t doc_id) {
    uint16_t room[SIR_CHUNK_ROOM];
    sir_cursor cursor;
    sir_cursor_open(s, &cursor, list, (sir_chunk){index->kernels, room});
    sir_cursor_enter(s, &cursor, sir_cursor_span(s, &cursor, doc_id));
    sir_cursor_next_geq(s, &cursor, doc_id);
    return cursor.doc == doc_id ? cursor.position : list->term->df;
}

/* IEEE 754 binary16 to binary32, exactly. */
static float half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 0x3FFu;
    uint32_t bits;
    float value;
    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f; /* subnormal: a multiple of 2^-24, exact in binary32 */
        return sign != 0 ? -value : value;
    }
    bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double stored_weight(const sir_segment *s, uint64_t posting) {
    if (s->weight_bytes == 2) return (double)half_to_float(((const uint16_t *)s->weights)[posting]);
    return (double)((const float *)s->weights)[posting];
}

int sir_float_scores(const sir_index *index, const sir_float_request *r, double *scores, sir_error *error) {
    if (r->segment >= index->num_segments)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there is no segment %" PRIu32, r->segment);
    const sir_segment *s = &index->segments[r->segment];
    if (s->weights == NULL && s->num_postings > 0)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "FWGT", "segment %" PRIu32 " stores no weights", r->segment);
    for (uint32_t d = 0; d < r->num_docs; d++) scores[d] = 0;
    for (uint32_t i = 0; i < r->num_terms; i++) {
        const uint32_t at = sir_segment_find(s, r->term_ids[i]);
        if (at == SIR_NO_ROW) continue;
        const sir_list list = sir_list_of(s, at, 1);
        for (uint32_t d = 0; d < r->num_docs; d++) {
            if (r->doc_ids[d] >= s->num_docs)
                return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there is no document %" PRIu32, r->doc_ids[d]);
            const uint32_t posting = find_posting(index, s, &list, r->doc_ids[d]);
            if (posting < list.term->df) {
                const double product = (double)r->weights[i] * stored_weight(s, list.term->postings_start + posting);
                scores[d] += product; /* in the order of the terms: one rounding order everywhere */
            }
        }
    }
    return SIR_OK;
}

/* Posting lists know their documents, not the other way round. The lists of one segment lie behind each other, so whole documents are
 * found either list by list, or by one look at all doc_ids of the lists: a compare of 64 at a time costs less than the 20 to 40 ns a
 * list of the former, unless lists are long. */
enum { SCAN_AT_ONCE = 4, SCAN_CHUNK = 64 };

/* Postings that are looked at in the time that one list is asked for one document: 0.1 to 0.2 ns each, for SCAN_AT_ONCE documents. */
static const uint64_t SCANNED_FOR_A_LIST = 128;

typedef struct scan {
    const sir_segment *segment;
    sir_document_sample *sample;
    uint32_t first;                /* of the documents of the sample that are looked for now */
    uint32_t count;                /* of these */
    uint32_t term;                 /* of the last posting that was looked at closely */
    uint16_t wanted[SCAN_AT_ONCE]; /* their doc_ids mod 65,536; the last one again where they are fewer */
} scan;

static void keep_posting(sir_document_sample *r, const sir_segment *s, uint32_t at, uint32_t document, uint64_t posting) {
    if (r->count < r->room) {
        r->numbers[r->count] = document;
        r->term_ids[r->count] = s->term_ids[at];
        r->impacts[r->count] = s->impacts[posting];
    }
    r->count++;
}

/* The last term, not before `from`, whose postings begin at `posting` or before: in steps that double, then by halves. */
static uint32_t term_of_posting(const sir_segment *s, uint32_t from, uint64_t posting) {
    uint32_t low = from, step = 1;
    while (step < s->num_terms - low && s->terms[low + step].postings_start <= posting) {
        low += step;
        step *= 2;
    }
    uint32_t high = step < s->num_terms - low ? low + step : s->num_terms;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (s->terms[middle].postings_start <= posting)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int is_looked_at(const sir_document_sample *r, uint32_t at) {
    if (r->terms == NULL) return 1;
    uint64_t low = 0, high = r->num_terms;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (r->terms[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->num_terms && r->terms[low] == at;
}

/* Whether a posting whose doc_id has the low half of doc_id's is of doc_id: it lies in the same window. */
static int is_of_document(const sir_segment *s, uint32_t at, uint64_t posting, uint32_t doc_id) {
    sir_list list = sir_list_of(s, at, 1);
    sir_enter_window(s, &list, doc_id / SIR_WINDOW_DOCS);
    const uint64_t place = posting - list.term->postings_start; /* a damaged list may begin after it; then it is large */
    return list.start <= place && place < list.end;
}

/* Whether one of SCAN_CHUNK doc_ids is wanted. Without branches, so that a compiler compares vectors. */
static int may_hold(const scan *c, const uint16_t *docs) {
    const uint16_t w0 = c->wanted[0], w1 = c->wanted[1], w2 = c->wanted[2], w3 = c->wanted[3];
    uint16_t found = 0;
    for (int i = 0; i < SCAN_CHUNK; i++)
        found |= (uint16_t)((docs[i] == w0) | (docs[i] == w1) | (docs[i] == w2) | (docs[i] == w3));
    return found != 0;
}

static void look_closely(scan *c, uint64_t start, uint64_t end) {
    const sir_segment *s = c->segment;
    for (uint64_t posting = start; posting < end; posting++) {
        for (uint32_t d = 0; d < c->count; d++) {
            if (s->docs[posting] != c->wanted[d]) continue;
            const uint32_t at = c->term = term_of_posting(s, c->term, posting);
            if (is_of_document(s, at, posting, c->sample->doc_ids[c->first + d]) && is_looked_at(c->sample, at))
                keep_posting(c->sample, s, at, c->first + d, posting);
        }
    }
}

/* Looks for all documents of the sample in the postings [start, end), some documents at a time. */
static void scan_postings(const sir_segment *s, sir_document_sample *r, uint64_t start, uint64_t end) {
    for (uint32_t first = 0; first < r->num_docs; first += SCAN_AT_ONCE) {
        scan c = {.segment = s, .sample = r, .first = first, .count = sir_min(SCAN_AT_ONCE, r->num_docs - first)};
        for (uint32_t d = 0; d < SCAN_AT_ONCE; d++)
            c.wanted[d] = (uint16_t)(r->doc_ids[first + sir_min(d, c.count - 1)] & (SIR_WINDOW_DOCS - 1));
        uint64_t posting = start;
        for (; posting + SCAN_CHUNK <= end; posting += SCAN_CHUNK)
            if (may_hold(&c, s->docs + posting)) look_closely(&c, posting, posting + SCAN_CHUNK);
        look_closely(&c, posting, end);
    }
}

/* First and one past the last posting of the terms that are looked at, inside the segment whatever it says. */
static void postings_of_terms(const sir_segment *s, const sir_document_sample *r, uint64_t num_terms, uint64_t *start, uint64_t *end) {
    *start = *end = 0;
    if (num_terms == 0) return;
    const sir_term *first = &s->terms[r->terms == NULL ? 0 : r->terms[0]];
    const sir_term *last = &s->terms[r->terms == NULL ? num_terms - 1 : r->terms[num_terms - 1]];
    const uint64_t stop = last->postings_start + last->df;
    *end = stop < s->num_postings ? stop : s->num_postings;
    *start = first->postings_start < *end ? first->postings_start : *end;
}

int sir_document_vectors(const sir_index *index, sir_document_sample *r, sir_error *error) {
    r->count = 0;
    if (r->segment >= index->num_segments)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there is no segment %" PRIu32, r->segment);
    const sir_segment *s = &index->segments[r->segment];
    for (uint32_t d = 0; d < r->num_docs; d++)
        if (r->doc_ids[d] >= s->num_docs)
            return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there is no document %" PRIu32 " in segment %" PRIu32, r->doc_ids[d],
                            r->segment);
    for (uint64_t i = 0; i < r->num_terms; i++)
        if (r->terms != NULL && r->terms[i] >= s->num_terms)
            return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there is no term at place %" PRIu32 " of segment %" PRIu32, r->terms[i],
                            r->segment);
    const uint64_t num_terms = r->terms == NULL ? s->num_terms : r->num_terms;
    if (!s->packed) {
        const uint64_t rounds = ((uint64_t)r->num_docs + SCAN_AT_ONCE - 1) / SCAN_AT_ONCE;
        uint64_t start, end;
        postings_of_terms(s, r, num_terms, &start, &end);
        if ((end - start) * rounds < num_terms * r->num_docs * SCANNED_FOR_A_LIST) {
            scan_postings(s, r, start, end);
            return SIR_OK;
        }
    }
    for (uint64_t i = 0; i < num_terms; i++) {
        const uint32_t at = r->terms == NULL ? (uint32_t)i : r->terms[i];
        const sir_list list = sir_list_of(s, at, 1);
        for (uint32_t d = 0; d < r->num_docs; d++) {
            const uint32_t posting = find_posting(index, s, &list, r->doc_ids[d]);
            if (posting < list.term->df) keep_posting(r, s, at, d, list.term->postings_start + posting);
        }
    }
    return SIR_OK;
}
