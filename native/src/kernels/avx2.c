/* AVX2 kernels. Frequent terms are scattered from their postings: without a byte expansion a bitmap saves nothing. */
#include <string.h>

#include "pruning/block_filter.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,popcnt,bmi,bmi2,lzcnt")))

AVX2 static inline __m256i load(const void *from) { return _mm256_loadu_si256((const __m256i *)from); }
AVX2 static inline void store(void *to, __m256i v) { _mm256_storeu_si256((__m256i *)to, v); }

/* Scores are below 2^31, so that a signed comparison serves. */
AVX2 static uint32_t collect(const uint32_t *accumulator, uint32_t count, uint32_t floor, const uint64_t *mask,
                             uint32_t *positions) {
    const __m256i below = _mm256_set1_epi32((int32_t)floor - 1);
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i += 64) {
        uint64_t at = 0;
        for (uint32_t j = 0; j < 8; j++) {
            __m256i hit = _mm256_cmpgt_epi32(load(accumulator + i + 8 * j), below);
            at |= (uint64_t)(uint8_t)_mm256_movemask_ps(_mm256_castsi256_ps(hit)) << (8 * j);
        }
        if (at == 0) continue;
        if (mask != NULL) at &= mask[i / 64];
        if (count - i < 64) at &= ((uint64_t)1 << (count - i)) - 1;
        for (; at != 0; at &= at - 1) positions[found++] = i + (uint32_t)__builtin_ctzll(at);
    }
    return found;
}

/* Contributions of 32 nibbles: vpshufb looks up their low and high bytes, unpacking pairs them. Lane order of the two
 * outputs: words 0-7 and 16-23, words 8-15 and 24-31. */
AVX2 static inline void look_up(__m256i nibbles, __m256i low_bytes, __m256i high_bytes, __m256i *first, __m256i *second) {
    __m256i low = _mm256_shuffle_epi8(low_bytes, nibbles), high = _mm256_shuffle_epi8(high_bytes, nibbles);
    *first = _mm256_add_epi16(*first, _mm256_unpacklo_epi8(low, high));
    *second = _mm256_add_epi16(*second, _mm256_unpackhi_epi8(low, high));
}

AVX2 static uint16_t add_in_order(uint16_t *to, const uint16_t *from, __m256i first, __m256i second) {
    __m256i a = _mm256_add_epi16(load(from), _mm256_permute2x128_si256(first, second, 0x20));
    __m256i b = _mm256_add_epi16(load(from + 16), _mm256_permute2x128_si256(first, second, 0x31));
    store(to, a);
    store(to + 16, b);
    __m256i both = _mm256_max_epu16(a, b);
    __m128i most = _mm_max_epu16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return (uint16_t)~_mm_extract_epi16(_mm_minpos_epu16(_mm_xor_si128(most, _mm_set1_epi16(-1))), 0);
}

/* The contributions of a row, parted into low and high bytes, each twice. */
AVX2 static inline void byte_tables(const uint16_t *contribution, __m256i *low, __m256i *high) {
    const __m256i split = _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5,
                                           7, 9, 11, 13, 15);
    __m256i parted = _mm256_shuffle_epi8(load(contribution), split); /* per lane: eight low bytes, eight high bytes */
    *low = _mm256_permute4x64_epi64(parted, 0x88);
    *high = _mm256_permute4x64_epi64(parted, 0xDD);
}

AVX2 static void allowed_blocks(const uint64_t *mask, uint32_t num_docs, uint64_t *blocks) {
    const uint32_t whole = num_docs / 2048;
    for (uint32_t i = 0; i < whole; i++) {
        uint64_t none = 0;
        for (uint32_t j = 0; j < 8; j++) {
            const __m256i empty = _mm256_cmpeq_epi32(load(mask + 32 * i + 4 * j), _mm256_setzero_si256());
            none |= (uint64_t)(uint8_t)_mm256_movemask_ps(_mm256_castsi256_ps(empty)) << (8 * j);
        }
        blocks[i] = ~none;
    }
    sir_allowed_blocks_scalar(mask + 32 * whole, num_docs - 2048 * whole, blocks + whole);
}

AVX2 static void block_bounds(sir_block_filter *f) {
    const __m256i nibble = _mm256_set1_epi8(15);
    for (uint32_t s = 0; s < f->num_supers; s++) {
        const uint32_t super = f->supers[s];
        __m256i sums[4];
        for (int i = 0; i < 4; i++) sums[i] = _mm256_setzero_si256();
        for (uint32_t r = 0; r < f->num_rows; r++) {
            const uint8_t *row = f->rows[r].nibbles + 32 * (uint64_t)super;
            __m256i low_bytes, high_bytes, bytes = load(row);
            byte_tables(f->rows[r].contribution, &low_bytes, &high_bytes);
            _mm_prefetch((const char *)row + 512, _MM_HINT_T0);
            look_up(_mm256_and_si256(bytes, nibble), low_bytes, high_bytes, &sums[0], &sums[1]);
            look_up(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble), low_bytes, high_bytes, &sums[2], &sums[3]);
        }
        const uint64_t at = (uint64_t)SIR_SUPER_BLOCKS * super;
        uint16_t low = add_in_order(f->bounds + at, f->short_bounds + at, sums[0], sums[1]);
        uint16_t high = add_in_order(f->bounds + at + 32, f->short_bounds + at + 32, sums[2], sums[3]);
        f->super_bounds[super] = low > high ? low : high;
    }
}

AVX2 static uint32_t collect_bounds(const uint16_t *bounds, uint32_t count, uint32_t floor, const uint64_t *allowed,
                                    uint32_t *positions) {
    const __m256i least = _mm256_set1_epi16((int16_t)floor);
    uint32_t found = 0;
    if (floor > UINT16_MAX) return 0;
    for (uint32_t i = 0; i < count; i += 16) {
        __m256i v = load(bounds + i);
        uint32_t at = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_max_epu16(v, least), v)) & 0x55555555u;
        if (count - i < 16) at &= ((uint32_t)1 << 2 * (count - i)) - 1;
        for (; at != 0; at &= at - 1) {
            positions[found] = i + (uint32_t)__builtin_ctz(at) / 2;
            found += allowed == NULL || (allowed[positions[found] / 64] >> (positions[found] % 64) & 1) != 0;
        }
    }
    return found;
}

/* The scores of the documents whose bits are set in the low byte of allowed. */
AVX2 static inline __m256i allowed_scores(const uint32_t *scores, uint32_t allowed) {
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i here = _mm256_and_si256(_mm256_set1_epi32((int32_t)allowed), bits);
    return _mm256_and_si256(load(scores), _mm256_cmpeq_epi32(here, bits));
}

AVX2 static uint32_t block_largest(const uint32_t *scores, uint32_t allowed) {
    __m256i a = _mm256_max_epu32(allowed_scores(scores, allowed), allowed_scores(scores + 8, allowed >> 8));
    __m256i b = _mm256_max_epu32(allowed_scores(scores + 16, allowed >> 16), allowed_scores(scores + 24, allowed >> 24));
    __m256i c = _mm256_max_epu32(a, b);
    __m128i d = _mm_max_epu32(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));
    d = _mm_max_epu32(d, _mm_shuffle_epi32(d, 0x4E));
    d = _mm_max_epu32(d, _mm_shuffle_epi32(d, 0xB1));
    return (uint32_t)_mm_cvtsi128_si32(d);
}

AVX2 static inline void add_present(uint32_t *accumulator, uint32_t present, const uint8_t *impacts, uint32_t weight) {
    for (; present != 0; present &= present - 1) accumulator[__builtin_ctz(present)] += weight * *impacts++;
}

AVX2 static inline uint32_t add_range(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count,
                                      uint16_t base, uint32_t weight) {
    const __m256i block = _mm256_set1_epi16((int16_t)base), clear = _mm256_set1_epi16(~(SIR_BLOCK_DOCS - 1));
    uint32_t added = 0;
    for (uint32_t i = 0; i < count; i += 16) {
        __m256i same = _mm256_cmpeq_epi16(_mm256_and_si256(load(docs + i), clear), block);
        uint32_t inside = (uint32_t)_mm256_movemask_epi8(same) & 0x55555555u;
        if (count - i < 16) inside &= ((uint32_t)1 << 2 * (count - i)) - 1;
        added += (uint32_t)__builtin_popcount(inside);
        for (; inside != 0; inside &= inside - 1) {
            const uint32_t at = i + (uint32_t)__builtin_ctz(inside) / 2;
            accumulator[docs[at] & (SIR_BLOCK_DOCS - 1)] += weight * impacts[at];
        }
    }
    return added;
}

AVX2 static inline uint32_t add_lows(uint32_t *accumulator, const uint8_t *lows, const uint8_t *impacts, uint32_t count,
                                     uint16_t base, uint32_t weight) {
    const __m256i block = _mm256_set1_epi8((int8_t)base), clear = _mm256_set1_epi8(~(SIR_BLOCK_DOCS - 1));
    uint32_t added = 0;
    for (uint32_t i = 0; i < count; i += 32) {
        uint32_t inside = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_and_si256(load(lows + i), clear), block));
        if (count - i < 32) inside &= ((uint32_t)1 << (count - i)) - 1;
        added += (uint32_t)__builtin_popcount(inside);
        for (; inside != 0; inside &= inside - 1) {
            const uint32_t at = i + (uint32_t)__builtin_ctz(inside);
            accumulator[lows[at] & (SIR_BLOCK_DOCS - 1)] += weight * impacts[at];
        }
    }
    return added;
}

/* Place of the set bit number n of a word, from 0. */
AVX2 static inline uint32_t select_bit(uint64_t word, uint32_t n) {
    return (uint32_t)_tzcnt_u64(_pdep_u64((uint64_t)1 << n, word));
}

#define TARGET AVX2
#include "kernels/block_score.h"

const sir_kernels sir_kernels_avx2 = {
    .isa = SIR_ISA_AVX2,
    .scatter = sir_scatter_scalar,
    .collect = collect,
    .add_block_maxima = sir_add_block_maxima_scalar,
    .allowed_blocks = allowed_blocks,
    .block_bounds = block_bounds,
    .collect_bounds = collect_bounds,
    .block_largest = block_largest,
    .score_tasks = score_tasks,
    .unpack_bitmap = sir_unpack_bitmap_scalar,
    .unpack_buckets = sir_unpack_buckets_scalar,
};
#endif
