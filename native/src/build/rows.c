/* Passes over the input of a build: checking, quantising, hashing. */
#include "sparseir.h"

void sir_check_rows(const sir_rows *rows, int64_t num_rows, uint32_t num_terms, int64_t *row) {
    const int64_t *indptr = rows->indptr;
    *row = -1;
    for (int64_t i = 0; i < num_rows; i++) {
        int64_t next = 0; /* the smallest term that may follow; 64 bits, so that it can pass the last term */
        unsigned bad = 0;
        for (int64_t p = indptr[i]; p < indptr[i + 1]; p++) {
            int64_t term = rows->slots[p];
            float weight = rows->weights[p];
            bad |= term < next;
            bad |= !(weight > 0.0f && weight <= 3.402823466e+38f); /* also false for NaN */
            next = term + 1;
        }
        if (bad || next > (int64_t)num_terms) {
            *row = i;
            return;
        }
    }
}

void sir_hash_names(const uint8_t *bytes, const uint64_t *offsets, int64_t n, uint64_t *out) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t hash = 0xcbf29ce484222325u;
        for (uint64_t p = offsets[i]; p < offsets[i + 1]; p++) hash = (hash ^ bytes[p]) * 0x100000001b3u;
        out[i] = hash;
    }
}
