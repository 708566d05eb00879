/* What is derived from finished posting lists: maxima, ladders, position cells and block bounds. */
#include <string.h>

#include "sparseir.h"

#define BLOCK_SHIFT 5
#define SUPERBLOCK_BLOCKS 64
#define NO_ROW 0xFFFFFFFFu
#define NUM_LADDER 15
#define NUM_LEVELS 16

/* The impacts of rank 1, 2, 4 ... 16384, from how often each impact occurs; 0 where the list is shorter. */
static void fill_ladder(const uint32_t histogram[256], uint8_t ladder[16]) {
    uint64_t seen = 0, rank = 1;
    int step = 0;
    memset(ladder, 0, 16);
    for (int impact = 255; impact > 0 && step < NUM_LADDER; impact--) {
        seen += histogram[impact];
        for (; step < NUM_LADDER && seen >= rank; rank *= 2) ladder[step++] = (uint8_t)impact;
    }
}

/* Fifteen impacts that block maxima are rounded up to: evenly spaced from their smallest to their largest, rounded up.
 * Measured against equal shares of the blocks, 12% fewer blocks survive the filter; the best levels a dynamic programme
 * finds save 1% more. */
static void choose_levels(const uint32_t histogram[256], uint8_t list_max, uint8_t levels[NUM_LEVELS]) {
    uint32_t lowest = 1;
    while (lowest < list_max && histogram[lowest] == 0) lowest++;
    levels[0] = 0;
    for (uint32_t level = 1; level < NUM_LEVELS; level++)
        levels[level] = (uint8_t)(lowest + ((list_max - lowest) * (level - 1) + NUM_LEVELS - 3) / (NUM_LEVELS - 2));
}

static void largest_of_superblocks(const uint8_t *block_max, uint32_t num_superblocks, uint8_t *superblock_max) {
    for (uint32_t s = 0; s < num_superblocks; s++) {
        const uint8_t *block = block_max + (size_t)s * SUPERBLOCK_BLOCKS;
        uint8_t largest = 0;
        for (int i = 0; i < SUPERBLOCK_BLOCKS; i++) largest = block[i] > largest ? block[i] : largest;
        superblock_max[s] = largest;
    }
}

/* One row of BMAX, BLEV and SMAX from the true maximum of each block. */
static void pack_bounds(const uint8_t *block_max, uint32_t num_superblocks, uint8_t list_max, uint8_t *packed, uint8_t *levels,
                        uint8_t *superblock_max) {
    uint32_t histogram[256] = {0};
    for (size_t b = 0; b < (size_t)num_superblocks * SUPERBLOCK_BLOCKS; b++) histogram[block_max[b]]++;
    choose_levels(histogram, list_max, levels);
    uint8_t code[256];
    uint32_t value = 0;
    for (uint32_t level = 0; level < NUM_LEVELS; level++)
        for (uint32_t end = level == NUM_LEVELS - 1 ? 255 : levels[level]; value <= end; value++) code[value] = (uint8_t)level;
    largest_of_superblocks(block_max, num_superblocks, superblock_max);
    for (uint32_t s = 0; s < num_superblocks; s++) {
        const uint8_t *block = block_max + (size_t)s * SUPERBLOCK_BLOCKS;
        for (int i = 0; i < SUPERBLOCK_BLOCKS / 2; i++)
            packed[(size_t)s * 32 + (size_t)i] = (uint8_t)(code[block[i]] | code[block[i + 32]] << 4);
    }
}

/* Bucket heights and low bytes of a term's doc_ids, or 16 bits of each where its directory is sparse; DOCB of
 * docs/index-format.md. */
static void pack_docs(const sir_term_tables *t, uint32_t term) {
    uint64_t first = t->start[term], df = t->start[term + 1] - first;
    uint64_t *words = t->doc_words + t->doc_begin[term];
    if (t->cell_shift[term] == 255) {
        if (df > 0) words[(df - 1) / 4] = 0;
        memcpy(words, t->docs + first, df * sizeof *t->docs);
        return;
    }
    uint64_t height_words = ((((uint64_t)t->num_docs + 255) >> 8) + df + 63) / 64;
    uint8_t *lows = (uint8_t *)(words + height_words);
    memset(words, 0, (height_words + (df + 7) / 8) * sizeof *words);
    for (uint64_t w = t->window_begin[term]; w < t->window_begin[term + 1]; w++) {
        uint64_t p = t->window_first[w];
        uint64_t end = w + 1 < t->window_begin[term + 1] ? t->window_first[w + 1] : t->start[term + 1];
        uint64_t buckets = (uint64_t)t->window[w] << 8;
        for (; p < end; p++) {
            uint64_t bit = p - first + buckets + (t->docs[p] >> 8);
            words[bit >> 6] |= (uint64_t)1 << (bit & 63);
            lows[p - first] = (uint8_t)t->docs[p];
        }
    }
}

/* Cells, block maxima and bitmaps share one pass over the postings; each may be NULL. */
static void walk_windows(const sir_term_tables *t, uint32_t term, uint32_t *cells, uint8_t *block_max, uint64_t *bits) {
    uint8_t shift = t->cell_shift[term];
    for (uint64_t w = t->window_begin[term]; w < t->window_begin[term + 1]; w++) {
        uint64_t p = t->window_first[w];
        uint64_t end = w + 1 < t->window_begin[term + 1] ? t->window_first[w + 1] : t->start[term + 1];
        uint32_t base = (uint32_t)t->window[w] << 16;
        for (; p < end; p++) {
            uint32_t doc = base | t->docs[p];
            if (cells) cells[(doc >> shift) + 1]++;
            if (block_max) {
                uint8_t *largest = &block_max[doc >> BLOCK_SHIFT];
                *largest = t->impacts[p] > *largest ? t->impacts[p] : *largest;
            }
            if (bits) bits[doc >> 6] |= (uint64_t)1 << (doc & 63);
        }
    }
}

static void describe_term(const sir_term_tables *t, uint32_t term, uint32_t num_superblocks, uint8_t *scratch) {
    uint32_t histogram[256] = {0};
    uint8_t list_max = 0;
    for (uint64_t p = t->start[term]; p < t->start[term + 1]; p++) {
        uint8_t impact = t->impacts[p];
        histogram[impact]++;
        list_max = impact > list_max ? impact : list_max;
    }
    t->list_max[term] = list_max;
    fill_ladder(histogram, t->ladder + (size_t)term * 16);

    uint8_t shift = t->cell_shift[term];
    uint32_t *cells = shift == 255 ? NULL : t->cells + t->cell_begin[term];
    uint32_t row = t->bound_row[term];
    uint8_t *block_max = row == NO_ROW ? NULL : scratch;
    size_t words = ((size_t)t->num_docs + 63) / 64;
    uint64_t *bits = t->bits_row[term] == NO_ROW ? NULL : t->bits + t->bits_row[term] * words;
    if (!cells && !block_max && !bits && !t->doc_words) return;
    uint32_t num_cells = cells ? ((t->num_docs - 1) >> shift) + 1 : 0;
    if (cells) memset(cells, 0, ((size_t)num_cells + 1) * sizeof *cells);
    if (block_max) memset(block_max, 0, (size_t)num_superblocks * SUPERBLOCK_BLOCKS);
    if (bits) memset(bits, 0, words * sizeof *bits);
    walk_windows(t, term, cells, block_max, bits);
    for (uint32_t c = 0; c < num_cells; c++) cells[c + 1] += cells[c];
    if (t->doc_words && !bits) pack_docs(t, term);
    if (block_max && !t->block_levels)
        largest_of_superblocks(block_max, num_superblocks, t->superblock_max + (size_t)row * num_superblocks);
    else if (block_max)
        pack_bounds(block_max, num_superblocks, list_max, t->block_levels + (size_t)row * num_superblocks * 32,
                    t->levels + (size_t)row * NUM_LEVELS, t->superblock_max + (size_t)row * num_superblocks);
}

void sir_describe_terms(const sir_term_tables *tables, uint32_t term_begin, uint32_t term_end, uint8_t *scratch) {
    uint32_t num_blocks = tables->num_docs ? ((tables->num_docs - 1) >> BLOCK_SHIFT) + 1 : 0;
    uint32_t num_superblocks = (num_blocks + SUPERBLOCK_BLOCKS - 1) / SUPERBLOCK_BLOCKS;
    for (uint32_t term = term_begin; term < term_end; term++) describe_term(tables, term, num_superblocks, scratch);
}
