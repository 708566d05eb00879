/* Replays searches with known answers from a file, for machines that run no Python: python -m tests.replay writes it.
 *
 * A case is eight u64 (bytes of the segment, bytes of its deletion bitmap, words of a filter, k, number of terms, three of
 * 0) and then, each from a multiple of 64 bytes on: segment, bitmap, filter, term ids, weights, ordinals, scores. Every
 * exact engine on every instruction set of this processor must give these hits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparseir.h"

typedef struct {
    const void *segment, *deleted;
    const uint64_t *allowed;
    const uint32_t *term_ids, *weights, *scores;
    const int64_t *ordinals;
    uint64_t segment_bytes, deleted_bytes, allowed_words, k, num_terms;
} test_case;

static void fail(uint64_t number, const char *what) {
    fprintf(stderr, "replay: case %llu: %s\n", (unsigned long long)number, what);
    exit(1);
}

static const void *take(const uint8_t *bytes, uint64_t *at, uint64_t size) {
    const void *here = bytes + *at;
    *at += (size + 63) / 64 * 64;
    return here;
}

static uint64_t read_case(const uint8_t *bytes, uint64_t at, test_case *c) {
    const uint64_t *head = take(bytes, &at, 64);
    *c = (test_case){
        .segment_bytes = head[0], .deleted_bytes = head[1], .allowed_words = head[2], .k = head[3], .num_terms = head[4]};
    c->segment = take(bytes, &at, c->segment_bytes);
    c->deleted = take(bytes, &at, c->deleted_bytes);
    c->allowed = take(bytes, &at, 8 * c->allowed_words);
    c->term_ids = take(bytes, &at, 4 * c->num_terms);
    c->weights = take(bytes, &at, 4 * c->num_terms);
    c->ordinals = take(bytes, &at, 8 * c->k);
    c->scores = take(bytes, &at, 4 * c->k);
    return at;
}

static void search_case(const sir_index *index, const test_case *c, uint64_t number) {
    const uint64_t bytes = sir_workspace_bytes(index, (uint32_t)c->k, (uint32_t)c->num_terms);
    const uint64_t *const masks[1] = {c->allowed};
    sir_request request = {.k = (uint32_t)c->k,
                           .allowed = c->allowed_words > 0 ? masks : NULL,
                           .workspace = aligned_alloc(64, (bytes + 63) / 64 * 64),
                           .workspace_bytes = bytes};
    int64_t *ordinals = malloc(8 * c->k);
    uint32_t *scores = malloc(4 * c->k);
    if (request.workspace == NULL || ordinals == NULL || scores == NULL) fail(number, "no memory");
    for (request.engine = SIR_ENGINE_AUTO; request.engine <= SIR_ENGINE_BLOCK_FILTER; request.engine++) {
        sir_error error;
        if ((sir_index_engines(index) >> request.engine & 1) == 0) continue;
        if (sir_search_quantized(index, &request, c->term_ids, c->weights, (uint32_t)c->num_terms, ordinals, scores, &error) !=
            SIR_OK)
            fail(number, error.message);
        if (memcmp(ordinals, c->ordinals, 8 * c->k) != 0 || memcmp(scores, c->scores, 4 * c->k) != 0) {
            fprintf(stderr, "engine %u, instruction set %u\n", request.engine, sir_index_isa(index));
            fail(number, "hits differ");
        }
    }
    free(scores);
    free(ordinals);
    free(request.workspace);
}

int main(int argc, char **argv) {
    FILE *stream = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (stream == NULL || fseek(stream, 0, SEEK_END) != 0) fail(0, "usage: replay FILE");
    const uint64_t size = (uint64_t)ftell(stream);
    uint8_t *bytes = aligned_alloc(64, size / 64 * 64 + 64);
    rewind(stream);
    if (bytes == NULL || fread(bytes, 1, size, stream) != size) fail(0, "cannot be read");
    fclose(stream);
    uint64_t number = 0;
    uint32_t sets = 0; /* bit SIR_ISA_* */
    for (uint64_t at = 0; at < size; number++) {
        test_case c;
        at = read_case(bytes, at, &c);
        const sir_segment_source source = {c.segment, c.segment_bytes, c.deleted_bytes > 0 ? c.deleted : NULL, c.deleted_bytes};
        for (uint32_t isa = SIR_ISA_SCALAR; isa <= SIR_ISA_NEON; isa++) {
            sir_index *index;
            sir_error error;
            const sir_index_options options = {.doc_scale = 1.0, .isa = isa};
            const int status = sir_index_open(&source, 1, &options, &index, &error);
            if (status == SIR_ERROR_ARGUMENT) continue; /* not on this processor */
            if (status != SIR_OK) fail(number, error.message);
            sets |= 1u << isa;
            search_case(index, &c, number);
            sir_index_close(index);
        }
    }
    free(bytes);
    printf("%llu cases agree; instruction sets 0x%x\n", (unsigned long long)number, sets);
    return 0;
}
