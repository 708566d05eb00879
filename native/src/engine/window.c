/* Where a list's postings of a window of 65,536 documents lie. */
#include "postings/packed.h"

sir_list sir_list_of(const sir_segment *s, uint32_t at, uint32_t weight) {
    const sir_term *t = &s->terms[at];
    sir_list list = {.term = t, .impacts = s->impacts + t->postings_start, .weight = weight, .index = at};
    if (!s->packed) {
        list.docs = s->docs + t->postings_start;
        return list;
    }
    const uint64_t *words = t->bits_row == SIR_NO_ROW ? s->doc_words + s->doc_offsets[at] : NULL;
    if (t->cell_shift == SIR_SPARSE) {
        list.docs = (const uint16_t *)words;
    } else if (words == NULL) {
        list.doc_bits = s->bits + t->bits_row * s->bits_stride;
        list.num_doc_words = (uint32_t)s->bits_stride;
    } else {
        list.doc_bits = words;
        list.num_doc_words = (uint32_t)((sir_bucket_bits(s->num_docs, t->df) + 63) / 64);
        list.doc_lows = (const uint8_t *)(words + list.num_doc_words);
    }
    return list;
}

const uint16_t *sir_window_docs(const sir_context *c, sir_list *list, uint32_t window) {
    if (list->docs != NULL) return list->docs + list->start;
    uint16_t *out = c->workspace->unpacked;
    uint32_t count = list->end - list->start;
    if (count > SIR_WINDOW_DOCS) count = SIR_WINDOW_DOCS; /* a damaged directory */
    count = sir_unpack(c->kernels, list, sir_packed_bit(list, list->start, window * SIR_WINDOW_DOCS), list->start, count, out);
    list->end = list->start + count;
    return out;
}

void sir_enter_window(const sir_segment *s, sir_list *list, uint32_t window) {
    const sir_term *t = list->term;
    if (t->cell_shift != SIR_SPARSE) {
        uint64_t cells = ((uint64_t)s->num_docs + (1u << t->cell_shift) - 1) >> t->cell_shift;
        uint64_t first = (uint64_t)window << (16 - t->cell_shift), last = ((uint64_t)window + 1) << (16 - t->cell_shift);
        sir_cell_range(s, t, (uint32_t)first, (uint32_t)(last < cells ? last : cells), &list->start, &list->end);
        __builtin_prefetch(s->cells + t->directory_start + (2 * last - first < cells ? 2 * last - first : cells));
        return;
    }
    const uint16_t *ids = s->window_ids + t->directory_start;
    const uint32_t *starts = s->window_starts + t->directory_start;
    while (list->next_window < t->num_windows && ids[list->next_window] < window) list->next_window++;
    list->start = list->end = 0;
    if (list->next_window < t->num_windows && ids[list->next_window] == window) {
        uint32_t next = list->next_window + 1;
        uint32_t end = next < t->num_windows ? starts[next] : t->df;
        list->end = end < t->df ? end : t->df;
        list->start = starts[list->next_window] < list->end ? starts[list->next_window] : list->end;
    }
}
