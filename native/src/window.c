/* Where a list's postings of a window of 65,536 documents lie. */
#include "engine.h"

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
