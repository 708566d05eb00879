/* NEON kernels (any AArch64 processor). Frequent terms are scattered from their postings. */
#include "pruning/block_filter.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include "kernels/block_plain.h"

/* One bit a lane of a comparison's result. */
static inline uint32_t bits_of_lanes(uint32x4_t hit) {
    const uint32x4_t places = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(hit, places));
}

static uint32_t collect(const uint32_t *accumulator, uint32_t count, uint32_t floor, const uint64_t *mask, uint32_t *positions) {
    const uint32x4_t least = vdupq_n_u32(floor);
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i += 64) {
        uint32x4_t most = vld1q_u32(accumulator + i);
        for (uint32_t j = 1; j < 16; j++) most = vmaxq_u32(most, vld1q_u32(accumulator + i + 4 * j));
        if (vmaxvq_u32(most) < floor) continue;
        uint64_t at = 0;
        for (uint32_t j = 0; j < 16; j++)
            at |= (uint64_t)bits_of_lanes(vcgeq_u32(vld1q_u32(accumulator + i + 4 * j), least)) << (4 * j);
        if (mask != NULL) at &= mask[i / 64];
        if (count - i < 64) at &= ((uint64_t)1 << (count - i)) - 1;
        for (; at != 0; at &= at - 1) positions[found++] = i + (uint32_t)__builtin_ctzll(at);
    }
    return found;
}

/* Contributions of 16 nibbles: their low and high bytes are looked up apart and paired again. */
static inline void look_up(uint8x16_t nibbles, uint8x16x2_t table, uint16x8_t *first, uint16x8_t *second) {
    const uint8x16_t low = vqtbl1q_u8(table.val[0], nibbles), high = vqtbl1q_u8(table.val[1], nibbles);
    *first = vaddq_u16(*first, vreinterpretq_u16_u8(vzip1q_u8(low, high)));
    *second = vaddq_u16(*second, vreinterpretq_u16_u8(vzip2q_u8(low, high)));
}

static void block_bounds(sir_block_filter *f) {
    const uint8x16_t nibble = vdupq_n_u8(15);
    for (uint32_t s = 0; s < f->num_supers; s++) {
        const uint32_t super = f->supers[s];
        const uint64_t at = (uint64_t)SIR_SUPER_BLOCKS * super;
        uint16x8_t sums[8], most = vdupq_n_u16(0);
        for (int i = 0; i < 8; i++) sums[i] = vld1q_u16(f->short_bounds + at + 8 * i);
        for (uint32_t r = 0; r < f->num_rows; r++) {
            const uint8_t *row = f->rows[r].nibbles + 32 * (uint64_t)super;
            const uint8x16x2_t table = vld2q_u8((const uint8_t *)f->rows[r].contribution);
            const uint8x16_t a = vld1q_u8(row), b = vld1q_u8(row + 16);
            __builtin_prefetch(row + 512);
            look_up(vandq_u8(a, nibble), table, &sums[0], &sums[1]);
            look_up(vandq_u8(b, nibble), table, &sums[2], &sums[3]);
            look_up(vshrq_n_u8(a, 4), table, &sums[4], &sums[5]);
            look_up(vshrq_n_u8(b, 4), table, &sums[6], &sums[7]);
        }
        for (int i = 0; i < 8; i++) {
            vst1q_u16(f->bounds + at + 8 * i, sums[i]);
            most = vmaxq_u16(most, sums[i]);
        }
        f->super_bounds[super] = vmaxvq_u16(most);
    }
}

static uint32_t collect_bounds(const uint16_t *bounds, uint32_t count, uint32_t floor, const uint64_t *allowed,
                               uint32_t *positions) {
    const uint16x8_t places = {1, 2, 4, 8, 16, 32, 64, 128};
    uint32_t found = 0;
    if (floor > UINT16_MAX) return 0;
    const uint16x8_t least = vdupq_n_u16((uint16_t)floor);
    for (uint32_t i = 0; i < count; i += 8) {
        uint32_t at = vaddvq_u16(vandq_u16(vcgeq_u16(vld1q_u16(bounds + i), least), places));
        if (count - i < 8) at &= ((uint32_t)1 << (count - i)) - 1;
        if (allowed != NULL) at &= (uint32_t)(allowed[i / 64] >> (i % 64)) & 255;
        for (; at != 0; at &= at - 1) positions[found++] = i + (uint32_t)__builtin_ctz(at);
    }
    return found;
}

static uint32_t block_largest(const uint32_t *scores, uint32_t allowed) {
    const uint32x4_t places = {1, 2, 4, 8};
    uint32x4_t most = vdupq_n_u32(0);
    for (int i = 0; i < SIR_BLOCK_DOCS; i += 4) {
        const uint32x4_t here = vtstq_u32(vdupq_n_u32(allowed >> i), places);
        most = vmaxq_u32(most, vandq_u32(here, vld1q_u32(scores + i)));
    }
    return vmaxvq_u32(most);
}

static inline uint32_t add_range(uint32_t *accumulator, const uint16_t *docs, const uint8_t *impacts, uint32_t count, uint16_t base,
                                 uint32_t weight) {
    const uint16x8_t block = vdupq_n_u16(base), keep = vdupq_n_u16((uint16_t) ~(SIR_BLOCK_DOCS - 1));
    const uint16x8_t places = {1, 2, 4, 8, 16, 32, 64, 128};
    uint32_t added = 0;
    for (uint32_t i = 0; i < count; i += 8) {
        uint32_t inside = vaddvq_u16(vandq_u16(vceqq_u16(vandq_u16(vld1q_u16(docs + i), keep), block), places));
        if (count - i < 8) inside &= ((uint32_t)1 << (count - i)) - 1;
        added += (uint32_t)__builtin_popcount(inside);
        for (; inside != 0; inside &= inside - 1) {
            const uint32_t at = i + (uint32_t)__builtin_ctz(inside);
            accumulator[docs[at] & (SIR_BLOCK_DOCS - 1)] += weight * impacts[at];
        }
    }
    return added;
}

#define TARGET
#include "kernels/block_score.h"

const sir_kernels sir_kernels_neon = {
    .isa = SIR_ISA_NEON,
    .scatter = sir_scatter_scalar,
    .collect = collect,
    .add_block_maxima = sir_add_block_maxima_scalar,
    .allowed_blocks = sir_allowed_blocks_scalar,
    .block_bounds = block_bounds,
    .collect_bounds = collect_bounds,
    .block_largest = block_largest,
    .score_tasks = score_tasks,
    .unpack_bitmap = sir_unpack_bitmap_scalar,
    .unpack_buckets = sir_unpack_buckets_scalar,
};
#endif
