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
    for (uint64_t i = 0; i < num_terms; i++) {
        const uint32_t at = r->terms == NULL ? (uint32_t)i : r->terms[i];
        const sir_list list = sir_list_of(s, at, 1);
        for (uint32_t d = 0; d < r->num_docs; d++) {
            const uint32_t posting = find_posting(index, s, &list, r->doc_ids[d]);
            if (posting == list.term->df) continue;
            if (r->count < r->room) {
                r->numbers[r->count] = d;
                r->term_ids[r->count] = s->term_ids[at];
                r->impacts[r->count] = list.impacts[posting];
            }
            r->count++;
        }
    }
    return SIR_OK;
}
