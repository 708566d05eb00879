/* The largest products of texts' tokens with a vocabulary, and the first tokens that attain them, against plain sums. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparseir.h"

enum { TILE_TOKENS = 16, TEXTS = 4, TILES = 4, WIDEST = 70, MOST_TERMS = 70 };

static const uint32_t text_of[TILES] = {0, 1, 1, 3}, first_of[TILES] = {0, 0, 16, 0}; /* text 2 has no tokens */
static const uint32_t lengths[TEXTS] = {1, 29, 0, 16};

static uint32_t state = 7;

/* A multiple of 1/4 from -1 to 1, whose sums of products are exact, so that ties are too. */
static float next_number(void) {
    state = state * 1664525u + 1013904223u;
    return (float)((int)(state >> 24) % 9 - 4) / 4;
}

static uint16_t bfloat16_of(float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void fail(const char *what, uint32_t num_terms, uint32_t width) {
    fprintf(stderr, "test_head: %s, %u terms of %u numbers\n", what, num_terms, width);
    exit(1);
}

/* Of the heap and no larger than told, so that AddressSanitizer sees a step beyond. */
static void *allocate(uint64_t count, uint64_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) exit(1);
    return memory;
}

static void check(uint32_t num_terms, uint32_t width) {
    static float plain_terms[MOST_TERMS][WIDEST], plain_tokens[TILES * TILE_TOKENS][WIDEST];
    uint32_t filled = (width + 31) / 32 * 32, columns = (num_terms + 31) / 32 * 32;
    uint64_t size = sir_tiled_terms_size(num_terms, width);
    uint16_t *weight = allocate((uint64_t)num_terms * width, sizeof *weight), *tiled = allocate(size, sizeof *tiled);
    uint16_t *tokens = allocate((uint64_t)TILES * TILE_TOKENS * filled, sizeof *tokens);
    float *best = allocate((uint64_t)TEXTS * columns, sizeof *best);
    int32_t *at = allocate((uint64_t)TEXTS * columns, sizeof *at);
    for (uint32_t v = 0; v < num_terms; v++)
        for (uint32_t h = 0; h < width; h++) weight[v * width + h] = bfloat16_of(plain_terms[v][h] = next_number());
    for (uint32_t tile = 0; tile < TILES; tile++)
        for (uint32_t i = 0; i < TILE_TOKENS; i++) {
            uint32_t left = lengths[text_of[tile]] - first_of[tile], row = tile * TILE_TOKENS + i;
            for (uint32_t h = 0; h < width; h++) {
                plain_tokens[row][h] = i < left ? next_number() : plain_tokens[row - 1][h];
                tokens[row * filled + h] = bfloat16_of(plain_tokens[row][h]);
            }
        }
    for (uint32_t i = 0; i < TEXTS * columns; i++) best[i] = -INFINITY;
    memset(tiled, 0xff, size * sizeof *tiled);
    sir_tile_terms(weight, num_terms, width, tiled);
    sir_token_tiles all = {tokens, text_of, first_of, TILES};
    for (uint64_t low = 0; low < columns; low += 32) { /* block by block, as threads share them */
        sir_term_tiles terms = {tiled, num_terms, width, low, low + 32};
        sir_max_products(&all, &terms, best, at);
    }
    for (uint32_t text = 0; text < TEXTS; text++)
        for (uint32_t v = 0; v < num_terms; v++) {
            float largest = -INFINITY;
            int32_t place = 0;
            for (uint32_t tile = 0; tile < TILES; tile++)
                for (uint32_t i = 0; i < TILE_TOKENS && text_of[tile] == text; i++) {
                    float sum = 0;
                    for (uint32_t h = 0; h < width; h++) sum += plain_tokens[tile * TILE_TOKENS + i][h] * plain_terms[v][h];
                    if (sum > largest) largest = sum, place = (int32_t)(first_of[tile] + i);
                }
            if (best[text * columns + v] != largest) fail("a maximum differs", num_terms, width);
            if (at[text * columns + v] != place) fail("a first token differs", num_terms, width);
        }
    free(weight), free(tiled), free(tokens), free(best), free(at);
}

int main(void) {
    static const uint32_t num_terms[] = {1, 16, 33, MOST_TERMS}, widths[] = {1, 31, 32, 64, WIDEST};
    if (!sir_tiles_usable()) {
        puts("test_head: skipped, this processor multiplies no tiles of bfloat16");
        return 77;
    }
    for (size_t i = 0; i < sizeof num_terms / sizeof *num_terms; i++)
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++) check(num_terms[i], widths[j]);
    return 0;
}
