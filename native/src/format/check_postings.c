/* Checking posting lists of a file before anything relies on them. */
#include "sparseir.h"

static int list_is_sound(const sir_term_tables *t, uint32_t term) {
    for (uint64_t w = t->window_begin[term]; w < t->window_begin[term + 1]; w++) {
        uint64_t p = t->window_first[w];
        uint64_t end = w + 1 < t->window_begin[term + 1] ? t->window_first[w + 1] : t->start[term + 1];
        int64_t last = -1;
        for (; p < end; p++) {
            if (t->docs[p] <= last || t->impacts[p] == 0) return 0;
            last = t->docs[p];
        }
        if (last >= 0 && ((uint64_t)t->window[w] << 16 | (uint64_t)last) >= t->num_docs) return 0;
    }
    return 1;
}

void sir_check_postings(const sir_term_tables *tables, uint32_t num_terms, uint32_t *term) {
    for (*term = 0; *term < num_terms; ++*term)
        if (!list_is_sound(tables, *term)) return;
}
