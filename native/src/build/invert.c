/* Inversion: rows of documents to posting lists, as a counting sort over slots. Documents are read by ascending doc_id,
 * so that each list comes out sorted without a comparison. Windows are recorded on the way, because the 16 bits kept of
 * a doc_id do not tell them. */
#include <stddef.h>

#include "build/impact.h"
#include "sparseir.h"

#define WINDOW_SHIFT 16

void sir_count_postings(const sir_rows *rows, uint32_t doc_begin, uint32_t doc_end, sir_slot *slots) {
    for (uint32_t doc = doc_begin; doc < doc_end; doc++) {
        uint32_t window = doc >> WINDOW_SHIFT;
        size_t row = rows->order ? rows->order[doc] : doc;
        for (int64_t p = rows->indptr[row]; p < rows->indptr[row + 1]; p++) {
            sir_slot *slot = &slots[rows->slots[p]];
            slot->cursor++;
            slot->directory += slot->last_window != window;
            slot->last_window = window;
        }
    }
}

void sir_scatter_postings(const sir_rows *rows, const uint32_t doc_range[2], double scale, sir_slot *slots, const sir_inverted *out,
                          uint64_t *clipped) {
    uint64_t above = 0;
    for (uint32_t doc = doc_range[0]; doc < doc_range[1]; doc++) {
        uint32_t window = doc >> WINDOW_SHIFT;
        size_t row = rows->order ? rows->order[doc] : doc;
        for (int64_t p = rows->indptr[row]; p < rows->indptr[row + 1]; p++) {
            sir_slot *slot = &slots[rows->slots[p]];
            uint64_t at = slot->cursor++;
            out->docs[at] = (uint16_t)doc;
            out->impacts[at] = sir_impact(rows->weights[p], scale, &above);
            if (out->weights) out->weights[at] = rows->weights[p];
            if (slot->last_window != window) {
                slot->last_window = window;
                out->window[slot->directory] = (uint16_t)window;
                out->window_first[slot->directory] = at;
                slot->directory++;
            }
        }
    }
    *clipped += above;
}
