/* Every engine on every instruction set against plain sums, and a batch shared by threads; for the sanitizers. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparseir.h"

enum {
    DOCS = 5000,
    TERMS = 12,
    SHIFT = 8,
    CELLS = (DOCS >> SHIFT) + 2,
    SUPERS = 3,
    WORDS = (DOCS + 63) / 64,
    QUERIES = 64,
    K = 20
};

static uint8_t impact[TERMS][DOCS];
static uint32_t state = 12345;

static uint32_t next_random(void) {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static void fail(const char *what) {
    fprintf(stderr, "test_engines: %s\n", what);
    exit(1);
}

/* ---- a segment file, section by section ---- */

static uint8_t *file;
static uint64_t file_size;
static uint32_t num_sections, flags; /* flags of the header: 1 packed doc_ids, 2 no maxima of blocks */

static uint8_t *add_section(const char *name, uint32_t element, uint64_t size) {
    uint64_t offset = (file_size + 63) / 64 * 64;
    uint8_t *entry = file + 64 + 32 * num_sections++;
    memcpy(entry, name, 4);
    memcpy(entry + 4, &element, 4);
    memcpy(entry + 8, &offset, 8);
    memcpy(entry + 16, &size, 8);
    file_size = (offset + size + 63) / 64 * 64 + 64;
    return file + offset;
}

static void put32(uint8_t *base, uint64_t index, uint32_t value) { memcpy(base + 4 * index, &value, 4); }

static void fill_bounds(uint8_t *block_max, uint8_t *levels, uint8_t *super_max, uint32_t t) {
    for (uint32_t l = 0; l < 16; l++) levels[16 * t + l] = (uint8_t)(17 * l);
    for (uint32_t d = 0; d < DOCS; d++) {
        const uint32_t super = d / 2048, block = d / 32 % 64, level = (impact[t][d] + 16u) / 17;
        uint8_t *byte = block_max + 32 * (t * SUPERS + super) + block % 32, *most = super_max + t * SUPERS + super;
        const uint32_t shift = block < 32 ? 0 : 4, held = *byte >> shift & 15;
        if (level > held) *byte = (uint8_t)((*byte & ~(15u << shift)) | level << shift);
        if (impact[t][d] > *most) *most = impact[t][d];
    }
}

static int has_bitmap(uint32_t t) { return t % 4 != 0; }

/* DOCO and DOCB: bucket heights in unary, then the lowest byte of each doc_id, of terms without a bitmap. */
static void pack_docs(void) {
    uint8_t *offsets = add_section("DOCO", 8, 8 * TERMS), *words = file + (file_size + 63) / 64 * 64;
    uint64_t at = 0;
    for (uint32_t t = 0; t < TERMS; t++) {
        memcpy(offsets + 8 * t, &at, 8);
        if (has_bitmap(t)) continue;
        uint32_t df = 0;
        for (uint32_t d = 0; d < DOCS; d++) {
            const uint32_t bit = df + d / 256;
            if (impact[t][d] > 0) words[8 * at + bit / 8] |= (uint8_t)(1u << bit % 8), df++;
        }
        at += ((DOCS + 255) / 256 + df + 63) / 64;
        df = 0;
        for (uint32_t d = 0; d < DOCS; d++)
            if (impact[t][d] > 0) words[8 * at + df++] = (uint8_t)d;
        at += (df + 7) / 8;
    }
    add_section("DOCB", 8, 8 * at);
}

static void build_segment(void) {
    uint64_t postings = 0, at = 0;
    uint8_t *unwanted = calloc(1, 1 << 19);
    for (uint32_t t = 0; t < TERMS; t++)
        for (uint32_t d = 0; d < DOCS; d++) postings += impact[t][d] > 0;
    memset(file, 0, 1 << 20);
    num_sections = 0;
    file_size = 64 + 32 * 16;
    uint8_t *ids = add_section("TERM", 4, 4 * TERMS), *records = add_section("TREC", 32, 32 * TERMS);
    uint8_t *docs = flags & 1 ? unwanted : add_section("DOCS", 2, 2 * postings), *impacts = add_section("IMPA", 1, postings);
    uint8_t *cells = add_section("CELL", 4, 4 * TERMS * CELLS), *ladder = add_section("LADD", 1, 16 * TERMS);
    uint8_t *block_max = flags & 2 ? unwanted : add_section("BMAX", 32, 32 * TERMS * SUPERS);
    uint8_t *levels = flags & 2 ? unwanted + 32 * TERMS * SUPERS : add_section("BLEV", 1, 16 * TERMS);
    uint8_t *super_max = add_section("SMAX", 1, TERMS * SUPERS), *bits = add_section("BITS", 8, 8 * TERMS * WORDS);
    (void)ladder; /* all zero: no initial threshold */
    if (flags & 1) pack_docs();
    for (uint32_t t = 0; t < TERMS; t++) {
        uint8_t *record = records + 32 * t;
        const uint64_t start = at;
        uint32_t most = 0;
        put32(ids, t, 3 * t);
        for (uint32_t d = 0; d < DOCS; d++) {
            if (d % (1 << SHIFT) == 0) put32(cells, t * CELLS + (d >> SHIFT), (uint32_t)(at - start));
            if (impact[t][d] == 0) continue;
            const uint16_t low = (uint16_t)d;
            memcpy(docs + 2 * at, &low, 2);
            impacts[at++] = impact[t][d];
            bits[8 * (t * WORDS + d / 64) + d % 64 / 8] |= (uint8_t)(1u << d % 8);
            most = impact[t][d] > most ? impact[t][d] : most;
        }
        put32(cells, t * CELLS + CELLS - 1, (uint32_t)(at - start));
        memcpy(record, &start, 8);
        put32(record, 2, (uint32_t)(at - start));
        put32(record, 3, t * CELLS);
        put32(record, 4, t % 3 == 0 ? 0xFFFFFFFFu : t); /* some terms without a bound row */
        record[24] = SHIFT;
        record[25] = (uint8_t)most;
        put32(record, 7, has_bitmap(t) ? t : 0xFFFFFFFFu); /* and some without a bitmap */
        fill_bounds(block_max, levels, super_max, t);
    }
    memcpy(file, "SPIRSEG", 8);
    const uint32_t head[] = {sir_format_version(), num_sections};
    const uint32_t counts[] = {DOCS, TERMS};
    memcpy(file + 8, head, 8);
    memcpy(file + 16, &file_size, 8);
    memcpy(file + 24, counts, 8);
    memcpy(file + 32, &postings, 8);
    put32(file, 12, 5);
    put32(file, 13, flags);
    free(unwanted);
}

/* ---- expected hits ---- */

static void expect(const uint32_t *weights, const uint64_t *allowed, int64_t *ordinals, uint32_t *scores) {
    uint32_t left[DOCS];
    for (uint32_t d = 0; d < DOCS; d++) {
        left[d] = 0;
        if (allowed != NULL && (allowed[d / 64] >> (d % 64) & 1) == 0) continue;
        for (uint32_t t = 0; t < TERMS; t++) left[d] += weights[t] * impact[t][d];
    }
    for (uint32_t i = 0; i < K; i++) {
        uint32_t best = 0;
        for (uint32_t d = 1; d < DOCS; d++) best = left[d] > left[best] ? d : best;
        ordinals[i] = left[best] > 0 ? (int64_t)best : -1;
        scores[i] = left[best];
        left[best] = 0;
    }
}

static sir_request request_for(const sir_index *index, uint32_t engine) {
    const uint64_t bytes = sir_workspace_bytes(index, K, TERMS);
    return (sir_request){
        .k = K, .engine = engine, .workspace = aligned_alloc(64, (bytes + 63) / 64 * 64), .workspace_bytes = bytes};
}

static void check_engine(const sir_index *index, uint32_t engine) {
    uint32_t ids[TERMS], weights[TERMS], scores[K], want_scores[K];
    int64_t ordinals[K], want[K];
    sir_request request = request_for(index, engine);
    uint64_t mask[WORDS];
    const uint64_t *const masks[1] = {mask};
    for (uint32_t q = 0; q < 20; q++) {
        /* Every other query under a filter, in turn of most and of few documents; whole blocks go without one. */
        request.allowed = q % 2 == 0 ? NULL : masks;
        memset(mask, 0, sizeof mask);
        for (uint32_t d = 0; d < DOCS; d++)
            if (next_random() % (q % 4 == 1 ? 40 : 2) == 0) mask[d / 64] |= (uint64_t)1 << (d % 64);
        for (uint32_t t = 0; t < TERMS; t++) {
            ids[t] = 3 * t;
            weights[t] = 1 + next_random() % 4095;
        }
        expect(weights, request.allowed == NULL ? NULL : mask, want, want_scores);
        if (sir_search_quantized(index, &request, ids, weights, TERMS, ordinals, scores, NULL) != SIR_OK) fail("a search failed");
        if (memcmp(ordinals, want, sizeof want) != 0 || memcmp(scores, want_scores, sizeof scores) != 0) fail("hits differ");
    }
    free(request.workspace);
}

/* ---- a batch that threads share ---- */

typedef struct {
    const sir_index *index;
    const sir_batch *batch;
} job;

static void *work(void *argument) {
    const job *j = argument;
    sir_request request = request_for(j->index, SIR_ENGINE_AUTO);
    if (sir_search_batch(j->index, &request, j->batch, NULL) != SIR_OK) fail("a batch failed");
    free(request.workspace);
    return NULL;
}

static void check_threads(const sir_index *index) {
    static int64_t indptr[QUERIES + 1], ordinals[2][QUERIES * K];
    static uint32_t ids[QUERIES * TERMS];
    static float weights[QUERIES * TERMS], scores[2][QUERIES * K];
    for (uint32_t i = 0; i < QUERIES * TERMS; i++) {
        ids[i] = 3 * (i % TERMS);
        weights[i] = (float)(next_random() % 1000) / 100;
    }
    for (int64_t q = 0; q <= QUERIES; q++) indptr[q] = q * TERMS;
    for (int round = 0; round < 2; round++) {
        int64_t next = 0;
        pthread_t threads[4];
        sir_batch batch = {indptr, ids, weights, QUERIES, &next, ordinals[round], scores[round]};
        job j = {index, &batch};
        const int count = round == 0 ? 1 : 4;
        for (int i = 0; i < count; i++) pthread_create(&threads[i], NULL, work, &j);
        for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
    }
    if (memcmp(ordinals[0], ordinals[1], sizeof ordinals[0]) != 0) fail("threads change the hits");
}

static void check_layout(uint32_t layout) {
    flags = layout;
    build_segment();
    const sir_segment_source source = {file, file_size, NULL, 0};
    for (uint32_t isa = SIR_ISA_BEST; isa <= SIR_ISA_NEON; isa++) {
        sir_index *index;
        sir_error error;
        const sir_index_options options = {.doc_scale = 1.0, .isa = isa};
        int status = sir_index_open(&source, 1, &options, &index, &error);
        if (status == SIR_ERROR_ARGUMENT) continue; /* not on this processor */
        if (status != SIR_OK) fail(error.message);
        for (uint32_t engine = SIR_ENGINE_AUTO; engine <= SIR_ENGINE_BLOCK_FILTER; engine++)
            if (sir_index_engines(index) >> engine & 1) check_engine(index, engine);
        check_threads(index);
        sir_index_close(index);
    }
}

int main(void) {
    for (uint32_t t = 0; t < TERMS; t++)
        for (uint32_t d = 0; d < DOCS; d++)
            impact[t][d] = next_random() % (t + 2) == 0 ? (uint8_t)(1 + next_random() % (t % 2 ? 255 : 3)) : 0;
    file = calloc(1, 1 << 20);
    check_layout(0);
    check_layout(1);
    check_layout(3);
    free(file);
    puts("engines agree");
    return 0;
}
