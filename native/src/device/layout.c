/* Postings regrouped by window for a GPU: docs/gpu.md draws the layout and says why each part is as it is.
 *
 * Two passes over the same runs: `measure` counts, `fill` writes through one cursor per window, like one step of a
 * radix partition. Both walk the postings through next_segment, so they agree on any bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "format/error.h"
#include "sparseir.h"

enum { BANKS = 32, MAX_LEVELS = 65536 / BANKS };

typedef struct segment { /* the postings of one term in one window */
    uint64_t first;      /* position in docs and impacts */
    uint64_t length;
    uint32_t window;
} segment;

static segment next_segment(const sir_posting_runs *runs, uint64_t run, uint64_t at) {
    const uint32_t shift = runs->window_shift, inside = runs->docs[at] >> shift;
    const uint64_t end = runs->run_end[run];
    segment s = {at, 1, (runs->run_base[run] >> shift) + inside};

    while (at + s.length < end && (uint32_t)(runs->docs[at + s.length] >> shift) == inside) s.length++;
    return s;
}

static uint64_t padded(uint64_t length, uint32_t group) { return (length + group - 1) / group * group; }

int32_t sir_device_layout_measure(const sir_posting_runs *runs, const sir_device_layout *out, sir_error *error) {
    const uint64_t num_windows = ((uint64_t)runs->num_docs + (1u << runs->window_shift) - 1) >> runs->window_shift;

    memset(out->window_entry, 0, (num_windows + 1) * sizeof *out->window_entry);
    memset(out->window_posting, 0, (num_windows + 1) * sizeof *out->window_posting);
    for (uint64_t run = 0; run < runs->num_runs; run++) {
        segment s;
        for (uint64_t at = runs->run_start[run]; at < runs->run_end[run]; at += s.length) {
            s = next_segment(runs, run, at);
            if (s.window >= num_windows)
                return sir_fail(error, SIR_ERROR_FORMAT, "", "a posting names a document beyond the last; verify the index");
            out->window_entry[s.window + 1]++;
            out->window_posting[s.window + 1] += padded(s.length, runs->group);
        }
    }
    for (uint64_t w = 0; w < num_windows; w++) {
        if (out->window_posting[w + 1] > UINT32_MAX)
            return sir_fail(error, SIR_ERROR_ARGUMENT, "", "a window holds 2^32 postings or more; choose smaller windows");
        out->window_entry[w + 1] += out->window_entry[w];
        out->window_posting[w + 1] += out->window_posting[w];
    }
    return SIR_OK;
}

/* Where posting number p of the bank order is in memory, so that lane l of a warp, which loads `group` neighbours
 * at once, meets row i of the order in its i-th add: a tile of 32 * group postings is stored transposed. */
static uint64_t place_of(uint64_t p, uint64_t list_length, uint32_t group) {
    const uint64_t tile = (uint64_t)BANKS * group, start = p / tile * tile, q = p - start;
    const uint64_t lanes = list_length - start < tile ? (list_length - start) / group : BANKS;

    return start + q % lanes * group + q / lanes;
}

/* Writes one list in bank order: level r holds the r-th posting of every bank that has one. */
static int write_list(const sir_posting_runs *runs, segment s, uint16_t *local, uint8_t *impact) {
    const uint16_t mask = (uint16_t)((1u << runs->window_shift) - 1);
    const uint16_t *docs = runs->docs + s.first;
    const uint64_t total = padded(s.length, runs->group);
    uint32_t seen[BANKS] = {0}, start[MAX_LEVELS + 1], members[MAX_LEVELS], levels = 0;

    for (uint64_t i = 0; i < s.length; i++) {
        const uint32_t bank = docs[i] & (BANKS - 1), level = seen[bank]++;
        if (level >= MAX_LEVELS)
            return 0; /* only a damaged file repeats documents; the arrays above hold what a sound one can need */
        if (level == levels) members[levels++] = 0;
        members[level] |= 1u << bank;
    }
    start[0] = 0;
    for (uint32_t r = 0; r < levels; r++) start[r + 1] = start[r] + (uint32_t)__builtin_popcount(members[r]);
    memset(seen, 0, sizeof seen);
    for (uint64_t i = 0; i < s.length; i++) {
        const uint32_t bank = docs[i] & (BANKS - 1), level = seen[bank]++;
        const uint32_t before = (uint32_t)__builtin_popcount(members[level] & ((1u << bank) - 1));
        const uint64_t at = place_of(start[level] + before, total, runs->group);
        local[at] = docs[i] & mask;
        impact[at] = runs->impacts[s.first + i];
    }
    for (uint64_t p = s.length; p < total; p++) { /* padding adds 0 to a document that exists in every window */
        const uint64_t at = place_of(p, total, runs->group);
        local[at] = (uint16_t)(p % BANKS);
        impact[at] = 0;
    }
    return 1;
}

int32_t sir_device_layout_fill(const sir_posting_runs *runs, const sir_device_layout *out, sir_error *error) {
    const uint64_t num_windows = ((uint64_t)runs->num_docs + (1u << runs->window_shift) - 1) >> runs->window_shift;
    uint64_t *entry_at = malloc((2 * num_windows + 1) * sizeof *entry_at), *posting_at = entry_at + num_windows;
    int32_t status = SIR_OK;

    if (!entry_at) return sir_fail(error, SIR_ERROR_MEMORY, "", "no memory for the cursors of the windows");
    memcpy(entry_at, out->window_entry, num_windows * sizeof *entry_at);
    memcpy(posting_at, out->window_posting, num_windows * sizeof *posting_at);
    for (uint64_t run = 0; run < runs->num_runs && status == SIR_OK; run++) {
        segment s;
        for (uint64_t at = runs->run_start[run]; at < runs->run_end[run]; at += s.length) {
            s = next_segment(runs, run, at);
            const uint64_t entry = entry_at[s.window]++, posting = posting_at[s.window];
            out->entry_row[entry] = runs->run_row[run];
            out->entry_start[entry + s.window] = (uint32_t)(posting - out->window_posting[s.window]);
            posting_at[s.window] += padded(s.length, runs->group);
            if (!write_list(runs, s, out->local + posting, out->impact + posting)) {
                status = sir_fail(error, SIR_ERROR_FORMAT, "", "a list names one document many times; verify the index");
                break;
            }
        }
    }
    for (uint64_t w = 0; w < num_windows; w++)
        out->entry_start[out->window_entry[w + 1] + w] = (uint32_t)(out->window_posting[w + 1] - out->window_posting[w]);
    free(entry_at);
    return status;
}
