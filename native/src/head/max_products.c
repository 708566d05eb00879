/* The largest product of a text's tokens with each term of a vocabulary, by AMX tiles of bfloat16.
 *
 * A product of 16 tokens with 16 terms leaves the tile registers for a buffer of one kilobyte and becomes part of the maxima from
 * there, so that the logits, tokens times vocabulary, are in no memory. 32 terms stay in the first-level cache while all tokens
 * pass by: 2 x 2 tiles of sums use each loaded tile twice. */
#include "sparseir.h"

#include <stddef.h>
#include <string.h>

enum { ROWS = 16, DEPTH = 32, TILE = ROWS * DEPTH, TERMS = 2 * ROWS }; /* of a tile: tokens or terms, numbers of each */

static uint64_t depth_steps(uint32_t width) { return (width + (uint64_t)DEPTH - 1) / DEPTH; }

static uint64_t term_blocks(uint32_t num_terms) { return (num_terms + (uint64_t)TERMS - 1) / TERMS; }

uint64_t sir_tiled_terms_size(uint32_t num_terms, uint32_t width) {
    return term_blocks(num_terms) * TERMS * depth_steps(width) * DEPTH;
}

/* Row p of a tile holds numbers 2p and 2p + 1 of all its terms. */
void sir_tile_terms(const uint16_t *weight, uint32_t num_terms, uint32_t width, uint16_t *tiled) {
    static const uint16_t none[DEPTH];
    uint16_t ends[ROWS][DEPTH] = {{0}}; /* the last numbers of the rows, filled up with zeros */
    uint64_t steps = depth_steps(width), whole = width / DEPTH;
    for (uint64_t first = 0; first < term_blocks(num_terms) * TERMS; first += ROWS)
        for (uint64_t k = 0; k < steps; k++) {
            const uint16_t *rows[ROWS];
            for (uint64_t i = 0; i < ROWS; i++) {
                rows[i] = first + i < num_terms ? weight + (first + i) * width + k * DEPTH : none;
                if (k == whole && rows[i] != none) rows[i] = memcpy(ends[i], rows[i], width % DEPTH * sizeof *weight);
            }
            for (int pair = 0; pair < DEPTH / 2; pair++)
                for (int i = 0; i < ROWS; i++, tiled += 2) memcpy(tiled, rows[i] + (ptrdiff_t)2 * pair, 2 * sizeof *tiled);
        }
}

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AMX __attribute__((target("amx-tile,amx-bf16,avx512f")))

int32_t sir_tiles_usable(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx512f") || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (!(d & AMX_BF16) || !(d & AMX_TILE)) return 0;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Adds 16 rows of sums to 16 running maxima; with at, also the token of each, counted from first. A sum that is not a number stays
 * for good, as it does in torch's maximum: a network that has diverged must not look like one without active terms. Comparisons
 * leave it out, so zero times each row is added up beside them, 0 or not a number. */
AMX static inline void take_largest(const float *sums, float *best, int32_t *at, int32_t first) {
    __m512 largest = _mm512_loadu_ps(best), zero = _mm512_setzero_ps(), fault = zero;
    if (at == NULL) {
        for (int i = 0; i < ROWS; i++) {
            __m512 row = _mm512_load_ps(sums + ROWS * i);
            fault = _mm512_fmadd_ps(row, zero, fault);
            largest = _mm512_max_ps(row, largest); /* in this order: the second, where one is not a number */
        }
    } else {
        __m512i place = _mm512_loadu_si512(at);
        for (int i = 0; i < ROWS; i++) {
            __m512 row = _mm512_load_ps(sums + ROWS * i);
            __mmask16 larger = _mm512_cmp_ps_mask(row, largest, _CMP_GT_OQ);
            fault = _mm512_fmadd_ps(row, zero, fault);
            largest = _mm512_mask_mov_ps(largest, larger, row);
            place = _mm512_mask_mov_epi32(place, larger, _mm512_set1_epi32(first + i));
        }
        _mm512_storeu_si512(at, place);
    }
    _mm512_storeu_ps(best, _mm512_add_ps(largest, fault));
}

/* Sums of 2 x 16 tokens with 2 x 16 terms; the tiles of a row follow each other in the depth. */
AMX static inline void multiply(const uint16_t *tokens[2], const uint16_t *terms[2], uint64_t steps, float (*sums)[ROWS * ROWS]) {
    long stride = (long)(steps * DEPTH * sizeof(uint16_t));
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (uint64_t k = 0; k < steps; k++) {
        _tile_loadd(4, tokens[0] + k * DEPTH, stride);
        _tile_loadd(6, terms[0] + k * TILE, DEPTH * sizeof(uint16_t));
        _tile_loadd(7, terms[1] + k * TILE, DEPTH * sizeof(uint16_t));
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, tokens[1] + k * DEPTH, stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums[0], ROWS * sizeof(float));
    _tile_stored(1, sums[1], ROWS * sizeof(float));
    _tile_stored(2, sums[2], ROWS * sizeof(float));
    _tile_stored(3, sums[3], ROWS * sizeof(float));
}

AMX void sir_max_products(const sir_token_tiles *tokens, const sir_term_tiles *terms, float *best, int32_t *token) {
    tile_config before, config = {.palette = 1};
    for (int i = 0; i < 8; i++) config.rows[i] = ROWS, config.row_bytes[i] = DEPTH * sizeof(uint16_t);
    _tile_storeconfig(&before); /* another library may rely on its own */
    _tile_loadconfig(&config);
    _Alignas(64) float sums[4][ROWS * ROWS];
    uint64_t steps = depth_steps(terms->width), columns = term_blocks(terms->num_terms) * TERMS;
    for (uint64_t term = terms->first; term < terms->last; term += TERMS) {
        const uint16_t *block = terms->tiled + term * steps * DEPTH;
        const uint16_t *pair[2] = {block, block + steps * TILE};
        for (uint64_t tile = 0; tile < tokens->num_tiles; tile += 2) {
            int two = tile + 1 < tokens->num_tiles;
            const uint16_t *rows = tokens->tokens + tile * steps * TILE;
            const uint16_t *both[2] = {rows, two ? rows + steps * TILE : rows};
            multiply(both, pair, steps, sums);
            for (int i = 0; i <= two; i++)
                for (int j = 0; j < 2; j++) {
                    uint64_t at = tokens->text[tile + i] * columns + term + j * ROWS;
                    take_largest(sums[2 * i + j], best + at, token ? token + at : NULL, (int32_t)tokens->first[tile + i]);
                }
        }
    }
    if (before.palette) _tile_loadconfig(&before);
    else _tile_release();
}

#else

int32_t sir_tiles_usable(void) { return 0; }

void sir_max_products(const sir_token_tiles *tokens, const sir_term_tiles *terms, float *best, int32_t *token) {
    (void)tokens, (void)terms, (void)best, (void)token;
}

#endif
