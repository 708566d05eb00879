/* AVX-512 kernels (Ice Lake, Zen 4 and later: VBMI2 expands bitmaps, VNNI multiplies and adds four terms at once). */
#include "pruning/block_filter.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx512vnni,popcnt,bmi,bmi2,lzcnt")))

AVX512 static uint32_t collect(const uint32_t *accumulator, uint32_t count, uint32_t floor, const uint64_t *mask,
                               uint32_t *positions) {
    const __m512i least = _mm512_set1_epi32((int32_t)floor);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i += 64) {
        __m512i v[4];
        for (int j = 0; j < 4; j++) v[j] = _mm512_loadu_si512(accumulator + i + 16 * j);
        __m512i most = _mm512_max_epu32(_mm512_max_epu32(v[0], v[1]), _mm512_max_epu32(v[2], v[3]));
        if (_mm512_cmpge_epu32_mask(most, least) == 0) continue;
        uint64_t keep = mask == NULL ? UINT64_MAX : mask[i / 64];
        if (count - i < 64) keep &= ((uint64_t)1 << (count - i)) - 1;
        for (int j = 0; j < 4; j++) {
            __mmask16 at = _mm512_cmpge_epu32_mask(v[j], least) & (__mmask16)(keep >> (16 * j));
            __m512i numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32((int32_t)(i + 16 * (uint32_t)j)));
            _mm512_storeu_si512(positions + found, _mm512_maskz_compress_epi32(at, numbers));
            found += (uint32_t)__builtin_popcount(at);
        }
    }
    return found;
}

/* Bytes between use and prefetch of the two streams of each term: two dozen streams are more than the processor follows. */
enum { BITMAP_AHEAD = 1024 };

/* Postings of a block up to which one after the other is cheaper than all at once. */
enum { FEW = 4 };

/* Impacts of 64 documents of one term, zero where a document lacks it. */
AVX512 static inline __m512i expand64(sir_bitmap_cursor *t, uint32_t group) {
    uint64_t present = t->bits[group];
    const uint8_t *here = t->impacts;
    /* subtle: a damaged bitmap may hold more bits than the term has postings; the cursor stops at the end. */
    const uint8_t *next = here + __builtin_popcountll(present);
    t->impacts = next < t->end ? next : t->end;
    __m512i packed = _mm512_loadu_si512(here);
    __asm__("" : "+v"(packed)); /* keeps the load apart: vpexpandb from memory is microcoded, 5 times slower on Zen 5 */
    return _mm512_maskz_expand_epi8(present, packed);
}

/* Four terms: bytes of one document side by side, then u8 x s8 products summed in fours (vpdpbusd), once for the low
 * seven bits of the weights and once for the high five. Lane l of output j holds documents 16·l + 4·j .. + 3. */
AVX512 static inline void add_quad(sir_bitmap_cursor *terms, uint32_t group, __m512i low[4], __m512i high[4], __m512i low_weights,
                                   __m512i high_weights) {
    __m512i a = expand64(terms, group), b = expand64(terms + 1, group);
    __m512i c = expand64(terms + 2, group), d = expand64(terms + 3, group);
    __m512i ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
    __m512i cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);
    __m512i quad[4] = {_mm512_unpacklo_epi16(ab0, cd0), _mm512_unpackhi_epi16(ab0, cd0), _mm512_unpacklo_epi16(ab1, cd1),
                       _mm512_unpackhi_epi16(ab1, cd1)};
    for (int j = 0; j < 4; j++) {
        low[j] = _mm512_dpbusd_epi32(low[j], quad[j], low_weights);
        high[j] = _mm512_dpbusd_epi32(high[j], quad[j], high_weights);
    }
}

/* Skips a group of 64 documents: every cursor moves past its postings. */
AVX512 static inline void skip_group(sir_bitmap_cursor *terms, uint32_t num_terms, uint32_t group) {
    for (uint32_t t = 0; t < num_terms; t++) {
        const uint8_t *next = terms[t].impacts + __builtin_popcountll(terms[t].bits[group]);
        terms[t].impacts = next < terms[t].end ? next : terms[t].end;
    }
}

AVX512 static void bitmap_scores(uint32_t *accumulator, uint32_t num_groups, const uint64_t *mask, sir_bitmap_cursor *terms,
                                 uint32_t num_terms) {
    for (uint32_t group = 0; group < num_groups; group++) {
        if (group % 8 == 0) {
            for (uint32_t t = 0; t < num_terms; t++) {
                _mm_prefetch((const char *)(terms[t].bits + group) + BITMAP_AHEAD, _MM_HINT_T0);
                _mm_prefetch((const char *)terms[t].impacts + BITMAP_AHEAD, _MM_HINT_T0);
            }
        }
        if (mask != NULL && mask[group] == 0) {
            skip_group(terms, num_terms, group);
            continue;
        }
        __m512i low[4], high[4], v[4], x[4];
        for (int j = 0; j < 4; j++) low[j] = high[j] = _mm512_setzero_si512();
        for (uint32_t t = 0; t < num_terms; t += 4)
            add_quad(terms + t, group, low, high, _mm512_set1_epi32((int32_t)terms[t].low_weights),
                     _mm512_set1_epi32((int32_t)terms[t].high_weights));
        for (int j = 0; j < 4; j++) v[j] = _mm512_add_epi32(low[j], _mm512_slli_epi32(high[j], 7));
        /* 4 x 4 transposition of 128-bit lanes puts the documents in order. */
        x[0] = _mm512_shuffle_i32x4(v[0], v[1], 0x44);
        x[1] = _mm512_shuffle_i32x4(v[0], v[1], 0xEE);
        x[2] = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
        x[3] = _mm512_shuffle_i32x4(v[2], v[3], 0xEE);
        uint32_t *out = accumulator + 64 * (uint64_t)group;
        _mm512_storeu_si512(out, _mm512_shuffle_i32x4(x[0], x[2], 0x88));
        _mm512_storeu_si512(out + 16, _mm512_shuffle_i32x4(x[0], x[2], 0xDD));
        _mm512_storeu_si512(out + 32, _mm512_shuffle_i32x4(x[1], x[3], 0x88));
        _mm512_storeu_si512(out + 48, _mm512_shuffle_i32x4(x[1], x[3], 0xDD));
    }
}

/* 32 postings at a time: a maximum within each run of equal blocks, taken over to the run's last posting in five doubling
 * steps. A run that may continue after the vector is left for the next one; a run fits a vector, as a block has 32 documents. */
AVX512 static void add_block_maxima(const sir_list *list, uint8_t bit, uint32_t scale, uint16_t *bounds, uint8_t *lists) {
    const __m512i factor = _mm512_set1_epi16((int16_t)scale), one = _mm512_set1_epi16(1);
    const __m512i lanes = _mm512_cvtepu8_epi16(_mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
                                                                19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31));
    uint16_t ended_blocks[32], ended_units[32];
    for (uint32_t i = list->start; i < list->end;) {
        const uint32_t count = sir_min(32, list->end - i);
        const __m512i blocks = _mm512_srli_epi16(_mm512_loadu_si512(list->docs + i), SIR_BLOCK_SHIFT);
        __m512i impacts = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(list->impacts + i)));
        __m512i units = _mm512_add_epi16(_mm512_mulhi_epu16(_mm512_slli_epi16(impacts, 8), factor), one);
        for (int step = 1; step < 32; step *= 2) {
            const __m512i from = _mm512_sub_epi16(lanes, _mm512_set1_epi16((int16_t)step));
            const __mmask32 same = _mm512_cmpeq_epi16_mask(_mm512_permutexvar_epi16(from, blocks), blocks) & (UINT32_MAX << step);
            units = _mm512_mask_max_epu16(units, same, units, _mm512_permutexvar_epi16(from, units));
        }
        const __m512i next = _mm512_permutexvar_epi16(_mm512_add_epi16(lanes, one), blocks);
        const uint32_t valid = count == 32 ? UINT32_MAX : ((uint32_t)1 << count) - 1;
        uint32_t ends = _mm512_cmpneq_epi16_mask(blocks, next) & valid;
        const uint32_t last = (uint32_t)1 << (count - 1);
        ends = i + count == list->end ? ends | last : ends & ~last;
        if (ends == 0) ends = last;
        _mm512_storeu_si512(ended_blocks, _mm512_maskz_compress_epi16(ends, blocks));
        _mm512_storeu_si512(ended_units, _mm512_maskz_compress_epi16(ends, units));
        const uint32_t runs = (uint32_t)__builtin_popcount(ends);
        for (uint32_t r = 0; r < runs; r++) {
            bounds[ended_blocks[r]] = (uint16_t)(bounds[ended_blocks[r]] + ended_units[r]);
            lists[ended_blocks[r]] |= bit;
        }
        i += 32 - (uint32_t)__builtin_clz(ends);
    }
}

/* Levels of 64 blocks of a row, looked up in its 16 contributions. vpermw reads five bits of each lane: with the table
 * twice, the bits above a nibble do not matter. */
AVX512 static void block_bounds(sir_block_filter *f) {
    const sir_bound_row *rows = f->rows;
    const uint32_t num_rows = f->num_rows, last = f->num_supers - 1;
    enum { STEP = 4, AHEAD = 16 };
    for (uint32_t first = 0; first < f->num_supers; first += STEP) {
        const uint32_t count = sir_min(STEP, f->num_supers - first);
        const uint64_t ahead[2] = {32 * (uint64_t)f->supers[sir_min(first + AHEAD, last)],
                                   32 * (uint64_t)f->supers[sir_min(first + AHEAD + 2, last)]}; /* a cache line holds two */
        uint64_t at[STEP]; /* missing superblocks repeat the last */
        __m512i low[STEP], high[STEP];
        for (uint32_t i = 0; i < STEP; i++) {
            at[i] = 32 * (uint64_t)f->supers[sir_min(first + i, last)];
            low[i] = _mm512_loadu_si512(f->short_bounds + 2 * at[i]);
            high[i] = _mm512_loadu_si512(f->short_bounds + 2 * at[i] + 32);
        }
        for (uint32_t r = 0; r < num_rows; r++) {
            const uint8_t *nibbles = rows[r].nibbles;
            const __m512i table = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)rows[r].contribution));
            _mm_prefetch((const char *)nibbles + ahead[0], _MM_HINT_T0);
            _mm_prefetch((const char *)nibbles + ahead[1], _MM_HINT_T0);
            for (uint32_t i = 0; i < STEP; i++) {
                const uint8_t *row = nibbles + at[i];
                __m512i levels = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)row));
                low[i] = _mm512_add_epi16(low[i], _mm512_permutexvar_epi16(levels, table));
                high[i] = _mm512_add_epi16(high[i], _mm512_permutexvar_epi16(_mm512_srli_epi16(levels, 4), table));
            }
        }
        for (uint32_t i = 0; i < count; i++) {
            uint16_t *to = f->bounds + 2 * at[i];
            _mm512_storeu_si512(to, low[i]);
            _mm512_storeu_si512(to + 32, high[i]);
            __m512i both = _mm512_max_epu16(low[i], high[i]);
            __m256i half = _mm256_max_epu16(_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64(both, 1));
            __m128i most = _mm_max_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
            /* vphminposuw finds a smallest: of the complements it is the largest. */
            __m128i least = _mm_minpos_epu16(_mm_xor_si128(most, _mm_set1_epi16(-1)));
            f->super_bounds[at[i] / 32] = (uint16_t)~_mm_extract_epi16(least, 0);
        }
    }
}

AVX512 static void allowed_blocks(const uint64_t *mask, uint32_t num_docs, uint64_t *blocks) {
    const uint32_t whole = num_docs / 2048;
    for (uint32_t i = 0; i < whole; i++) {
        uint64_t bits = 0;
        for (uint32_t j = 0; j < 4; j++) {
            const __m512i sixteen = _mm512_loadu_si512(mask + 32 * (uint64_t)i + 8 * j);
            bits |= (uint64_t)_mm512_test_epi32_mask(sixteen, sixteen) << (16 * j);
        }
        blocks[i] = bits;
    }
    sir_allowed_blocks_scalar(mask + 32 * (uint64_t)whole, num_docs - 2048 * whole, blocks + whole);
}

AVX512 static uint32_t collect_bounds(const uint16_t *bounds, uint32_t count, uint32_t floor, const uint64_t *allowed,
                                      uint32_t *positions) {
    const __m512i least = _mm512_set1_epi16((int16_t)floor);
    uint32_t found = 0;
    if (floor > UINT16_MAX) return 0;
    for (uint32_t i = 0; i < count; i += 32) {
        uint32_t at = _mm512_cmpge_epu16_mask(_mm512_loadu_si512(bounds + i), least);
        if (allowed != NULL) at &= (uint32_t)(allowed[i / 64] >> (i % 64));
        if (count - i < 32) at &= ((uint32_t)1 << (count - i)) - 1;
        for (; at != 0; at &= at - 1) positions[found++] = i + (uint32_t)__builtin_ctz(at);
    }
    return found;
}

AVX512 static uint32_t block_largest(const uint32_t *scores, uint32_t allowed) {
    const __m512i low = _mm512_maskz_loadu_epi32((__mmask16)allowed, scores);
    const __m512i high = _mm512_maskz_loadu_epi32((__mmask16)(allowed >> 16), scores + 16);
    return _mm512_reduce_max_epu32(_mm512_max_epu32(low, high));
}

AVX512 static inline void add_present(uint32_t *accumulator, uint32_t present, const uint8_t *impacts, uint32_t weight) {
    __m256i packed = _mm256_loadu_si256((const __m256i *)(const void *)impacts);
    __asm__("" : "+v"(packed));
    __m256i values = _mm256_maskz_expand_epi8(present, packed);
    __m512i factor = _mm512_set1_epi32((int32_t)weight); /* 12 bits by 8: the pairwise multiply-add of 16-bit lanes is exact */
    __m512i low = _mm512_madd_epi16(_mm512_cvtepu8_epi32(_mm256_castsi256_si128(values)), factor);
    __m512i high = _mm512_madd_epi16(_mm512_cvtepu8_epi32(_mm256_extracti128_si256(values, 1)), factor);
    _mm512_storeu_si512(accumulator, _mm512_add_epi32(_mm512_loadu_si512(accumulator), low));
    _mm512_storeu_si512(accumulator + 16, _mm512_add_epi32(_mm512_loadu_si512(accumulator + 16), high));
}

/* Bit d of the result is set where one of the wanted lanes holds document d of its block. */
AVX512 static inline uint32_t present_bits(__m512i docs, uint32_t wanted) {
    const __m512i one = _mm512_set1_epi32(1), low_bits = _mm512_set1_epi32(SIR_BLOCK_DOCS - 1);
    __m512i low = _mm512_and_si512(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(docs)), low_bits);
    __m512i high = _mm512_and_si512(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(docs, 1)), low_bits);
    low = _mm512_maskz_sllv_epi32((__mmask16)wanted, one, low);
    high = _mm512_maskz_sllv_epi32((__mmask16)(wanted >> 16), one, high);
    return (uint32_t)_mm512_reduce_or_epi32(_mm512_or_si512(low, high));
}

/* The postings of a block are neighbours and ascend, so that their impacts are in the order of the block's bits. */
AVX512 static inline uint32_t add_range(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count,
                                        uint16_t base, uint32_t weight) {
    const __m512i block = _mm512_set1_epi16((int16_t)base), clear = _mm512_set1_epi16(~(SIR_BLOCK_DOCS - 1));
    uint32_t added = 0;
    for (uint32_t i = 0; i < count; i += 32) {
        const __m512i here = _mm512_loadu_si512(docs + i);
        uint32_t inside = _mm512_cmpeq_epu16_mask(_mm512_and_si512(here, clear), block);
        if (count - i < 32) inside &= ((uint32_t)1 << (count - i)) - 1;
        const uint32_t some = (uint32_t)__builtin_popcount(inside);
        added += some;
        if (some > FEW) {
            add_present(accumulator, present_bits(here, inside), impacts + i + __builtin_ctz(inside), weight);
            continue;
        }
        for (; inside != 0; inside &= inside - 1) {
            const uint32_t at = i + (uint32_t)__builtin_ctz(inside);
            accumulator[docs[at] & (SIR_BLOCK_DOCS - 1)] += weight * impacts[at];
        }
    }
    return added;
}

/* Positions of the set bits of a word, a byte each, in order. */
AVX512 static inline __m512i bit_positions(uint64_t word) {
    const __m512i ascending = _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43,
                                              42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22,
                                              21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_maskz_compress_epi8(word, ascending);
}

AVX512 static uint32_t unpack_bitmap(const uint64_t *bits, uint64_t num_words, uint64_t bit, uint32_t count, uint16_t *out) {
    uint32_t found = 0;
    uint64_t keep = UINT64_MAX << (bit % 64);
    for (uint64_t w = bit / 64; w < num_words && found < count; w++, keep = UINT64_MAX) {
        const uint64_t word = bits[w] & keep;
        const __m512i at = bit_positions(word), base = _mm512_set1_epi16((int16_t)(64 * w));
        _mm512_storeu_si512(out + found, _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(at))));
        if (__builtin_popcountll(word) > 32)
            _mm512_storeu_si512(out + found + 32, _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(at, 1))));
        found += (uint32_t)__builtin_popcountll(word);
    }
    return sir_min(found, count);
}

AVX512 static uint32_t unpack_buckets(const uint64_t *bits, uint64_t num_words, uint64_t bit, sir_packed_run run, uint16_t *out) {
    const __m512i lanes = bit_positions(UINT64_MAX);
    uint32_t found = 0;
    uint64_t keep = UINT64_MAX << (bit % 64);
    for (uint64_t w = bit / 64; w < num_words && found < run.count; w++, keep = UINT64_MAX) {
        const uint64_t word = bits[w] & keep;
        /* The bucket's low byte is all that is left of it in 16 bits of a doc_id, so bytes suffice. */
        const __m512i base = _mm512_set1_epi8((int8_t)(64 * w - run.start - found));
        const __m512i bucket = _mm512_add_epi8(base, _mm512_sub_epi8(bit_positions(word), lanes));
        const __m512i low = _mm512_loadu_si512(run.lows + found);
        __m512i high = _mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(bucket)), SIR_BUCKET_SHIFT);
        _mm512_storeu_si512(out + found, _mm512_or_si512(high, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(low))));
        if (__builtin_popcountll(word) > 32) {
            high = _mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(bucket, 1)), SIR_BUCKET_SHIFT);
            _mm512_storeu_si512(out + found + 32, _mm512_or_si512(high, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(low, 1))));
        }
        found += (uint32_t)__builtin_popcountll(word);
    }
    return sir_min(found, run.count);
}

AVX512 static inline uint32_t add_lows(uint32_t *accumulator, const uint8_t *lows, const uint8_t *impacts, uint32_t count,
                                       uint16_t base, uint32_t weight) {
    const __m512i block = _mm512_set1_epi8((int8_t)base), clear = _mm512_set1_epi8(~(SIR_BLOCK_DOCS - 1));
    uint32_t added = 0;
    for (uint32_t i = 0; i < count; i += 64) {
        uint64_t inside = _mm512_cmpeq_epu8_mask(_mm512_and_si512(_mm512_loadu_si512(lows + i), clear), block);
        if (count - i < 64) inside &= ((uint64_t)1 << (count - i)) - 1;
        added += (uint32_t)__builtin_popcountll(inside);
        for (; inside != 0; inside &= inside - 1) {
            const uint32_t at = i + (uint32_t)__builtin_ctzll(inside);
            accumulator[lows[at] & (SIR_BLOCK_DOCS - 1)] += weight * impacts[at];
        }
    }
    return added;
}

/* Place of the set bit number n of a word, from 0. */
AVX512 static inline uint32_t select_bit(uint64_t word, uint32_t n) {
    return (uint32_t)_tzcnt_u64(_pdep_u64((uint64_t)1 << n, word));
}

#define TARGET AVX512
#include "kernels/block_score.h"

const sir_kernels sir_kernels_avx512 = {
    .isa = SIR_ISA_AVX512,
    .scatter = sir_scatter_scalar,
    .collect = collect,
    .bitmap_scores = bitmap_scores,
    .add_block_maxima = add_block_maxima,
    .allowed_blocks = allowed_blocks,
    .block_bounds = block_bounds,
    .collect_bounds = collect_bounds,
    .block_largest = block_largest,
    .score_tasks = score_tasks,
    .unpack_bitmap = unpack_bitmap,
    .unpack_buckets = unpack_buckets,
};
#endif
