/* An opened index: its segments, their live documents, their term look-up, the kernels of this processor. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

/* Engines that bound blocks by their stored maxima. */
static const uint32_t NEED_BLOCKS = 1 << SIR_ENGINE_BLOCK_MAX_WAND | 1 << SIR_ENGINE_BLOCK_FILTER | 1 << SIR_ENGINE_APPROXIMATE;

/* A term id is found through a table when the table is small beside the term records, else by binary search. */
static int build_lookup(sir_segment *s, sir_error *error) {
    if (s->num_terms == 0) return SIR_OK;
    uint64_t size = (uint64_t)s->term_ids[s->num_terms - 1] + 1;
    if (size > 16 * (uint64_t)s->num_terms + 65536) return SIR_OK;
    s->lookup = malloc(size * sizeof *s->lookup);
    if (s->lookup == NULL) return sir_fail(error, SIR_ERROR_MEMORY, "", "no memory for a table of %" PRIu64 " terms", size);
    memset(s->lookup, 0xFF, size * sizeof *s->lookup);
    for (uint32_t i = 0; i < s->num_terms; i++) s->lookup[s->term_ids[i]] = i;
    s->lookup_size = (uint32_t)size;
    return SIR_OK;
}

static int build_live(sir_segment *s, const sir_segment_source *source, sir_error *error) {
    if (source->deleted == NULL) return SIR_OK;
    uint64_t words = ((uint64_t)s->num_docs + 63) / 64;
    if (source->deleted_length < ((uint64_t)s->num_docs + 7) / 8)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "a deletion bitmap of %" PRIu64 " bytes for %" PRIu32 " documents",
                        source->deleted_length, s->num_docs);
    s->live = calloc(words + 1, sizeof *s->live);
    if (s->live == NULL) return sir_fail(error, SIR_ERROR_MEMORY, "", "no memory for a bitmap of documents");
    for (uint32_t d = 0; d < s->num_docs; d++) {
        uint64_t dead = source->deleted[d >> 3] >> (d & 7) & 1;
        s->num_deleted += (uint32_t)dead;
        s->live[d >> 6] |= (dead ^ 1) << (d & 63);
    }
    if (s->num_deleted == 0) {
        free(s->live);
        s->live = NULL;
    }
    return SIR_OK;
}

static uint64_t largest_ordinal(const sir_segment *s) {
    uint64_t last = s->num_docs == 0 ? 0 : s->num_docs - 1;
    for (uint32_t d = 0; s->ordinals != NULL && d < s->num_docs; d++) last = s->ordinals[d] > last ? s->ordinals[d] : last;
    return s->ordinal_base + last;
}

/* Ordinals of one segment always fit; those of several are read only where the caller's word does not settle it. */
static int check_ordinals(sir_index *index, uint64_t ordinal_end, sir_error *error) {
    uint64_t low = UINT64_MAX, high = 0;
    for (uint32_t i = 0; i < index->num_segments; i++)
        low = index->segments[i].ordinal_base < low ? index->segments[i].ordinal_base : low;
    index->ordinal_min = index->num_segments == 0 ? 0 : low;
    if (index->num_segments < 2 || (ordinal_end > low && ordinal_end - 1 - low <= UINT32_MAX)) return SIR_OK;
    for (uint32_t i = 0; i < index->num_segments; i++) {
        const uint64_t last = largest_ordinal(&index->segments[i]);
        high = last > high ? last : high;
    }
    if (high - low > UINT32_MAX)
        return sir_fail(error, SIR_ERROR_FORMAT, "ORDN", "ordinals span more than 2^32; compact into a new index");
    return SIR_OK;
}

int sir_index_open(const sir_segment_source *segments, uint32_t num_segments, const sir_index_options *options, sir_index **out,
                   sir_error *error) {
    *out = NULL;
    const double doc_scale = options->doc_scale;
    const sir_kernels *kernels = sir_kernels_for(options->isa);
    if (kernels == NULL)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "instruction set %" PRIu32 " is not available here", options->isa);
    if (!(doc_scale > 0)) return sir_fail(error, SIR_ERROR_ARGUMENT, "", "doc_scale must be positive, not %g", doc_scale);
    sir_index *index = calloc(1, sizeof *index);
    sir_segment *array = calloc((size_t)num_segments + 1, sizeof *array);
    if (index == NULL || array == NULL) {
        free(index);
        free(array);
        return sir_fail(error, SIR_ERROR_MEMORY, "", "no memory for an index handle");
    }
    *index = (sir_index){.num_segments = num_segments,
                         .doc_scale = doc_scale,
                         .engines = (1 << SIR_NUM_ENGINES) - 1,
                         .kernels = kernels,
                         .segments = array};
    int status = SIR_OK;
    for (uint32_t i = 0; i < num_segments && status == SIR_OK; i++) {
        status = sir_segment_map(segments[i].bytes, segments[i].length, &array[i], error);
        if (status == SIR_OK) status = build_lookup(&array[i], error);
        if (status == SIR_OK) status = build_live(&array[i], &segments[i], error);
        if (array[i].without_blocks) index->engines &= ~NEED_BLOCKS;
    }
    if (status == SIR_OK) status = check_ordinals(index, options->ordinal_end, error);
    if (status != SIR_OK) {
        sir_index_close(index);
        return status;
    }
    *out = index;
    return SIR_OK;
}

void sir_index_close(sir_index *index) {
    if (index == NULL) return;
    for (uint32_t i = 0; i < index->num_segments; i++) {
        free(index->segments[i].lookup);
        free(index->segments[i].live);
    }
    free(index->segments);
    free(index);
}

uint32_t sir_index_isa(const sir_index *index) { return index->kernels->isa; }

uint32_t sir_index_engines(const sir_index *index) { return index->engines; }

uint32_t sir_index_segment_docs(const sir_index *index, uint32_t segment) {
    return segment < index->num_segments ? index->segments[segment].num_docs : 0;
}
