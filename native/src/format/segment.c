/* Opening a segment: nothing the file says is believed before it is compared with the size of its section. */
#include "format/segment.h"

#include <inttypes.h>
#include <string.h>

enum { HEADER_BYTES = 64, ENTRY_BYTES = 32, MAX_SECTIONS = 64, PADDING = 64 };

typedef struct {
    const uint8_t *bytes;
    uint64_t length;
    uint32_t num_sections;
} file_view;

static uint32_t read_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t read_u64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static int open_header(file_view *file, sir_segment *s, sir_error *error) {
    const uint8_t *h = file->bytes;
    if (((uintptr_t)h & 7) != 0)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "the segment's bytes must start at a multiple of 8");
    if (file->length < HEADER_BYTES || memcmp(h, "SPIRSEG", 8) != 0)
        return sir_fail(error, SIR_ERROR_FORMAT, "", "not a segment file: it does not start with SPIRSEG");
    if (read_u32(h + 8) != sir_format_version())
        return sir_fail(error, SIR_ERROR_FORMAT, "",
                        "the segment has format version %" PRIu32 ", this build reads %" PRIu32
                        "; rebuild it with 'sparseir index build'",
                        read_u32(h + 8), sir_format_version());
    file->num_sections = read_u32(h + 12);
    if (read_u64(h + 16) != file->length)
        return sir_fail(error, SIR_ERROR_FORMAT, "", "the segment should have %" PRIu64 " bytes and has %" PRIu64, read_u64(h + 16),
                        file->length);
    if (file->num_sections > MAX_SECTIONS || file->length < HEADER_BYTES + (uint64_t)file->num_sections * ENTRY_BYTES)
        return sir_fail(error, SIR_ERROR_FORMAT, "", "a table of %" PRIu32 " sections does not fit in the file",
                        file->num_sections);
    s->num_docs = read_u32(h + 24);
    s->num_terms = read_u32(h + 28);
    s->num_postings = read_u64(h + 32);
    s->ordinal_base = read_u64(h + 40);
    if (s->num_docs > INT32_MAX || s->num_postings > file->length || s->ordinal_base > INT64_MAX)
        return sir_fail(error, SIR_ERROR_FORMAT, "", "the header's counts are out of range");
    if (read_u32(h + 48) != SIR_BLOCK_SHIFT || (read_u32(h + 52) & ~(uint32_t)(SIR_FLAG_PACKED | SIR_FLAG_NO_BLOCKS)) != 0)
        return sir_fail(error, SIR_ERROR_FORMAT, "", "block_shift must be 5 and flags 0 .. 3; they are %" PRIu32 " and %" PRIu32,
                        read_u32(h + 48), read_u32(h + 52));
    s->packed = (read_u32(h + 52) & SIR_FLAG_PACKED) != 0;
    s->without_blocks = (read_u32(h + 52) & SIR_FLAG_NO_BLOCKS) != 0;
    s->num_blocks = (uint32_t)(((uint64_t)s->num_docs + SIR_BLOCK_DOCS - 1) / SIR_BLOCK_DOCS);
    s->num_supers = (s->num_blocks + SIR_SUPER_BLOCKS - 1) / SIR_SUPER_BLOCKS;
    return SIR_OK;
}

/* Finds a section and its number of elements of element_bytes each; count 0 and *out NULL when it is absent. */
static int find_section(const file_view *file, const char *name, uint32_t element_bytes, const void **out, uint64_t *count,
                        sir_error *error) {
    *out = NULL;
    *count = 0;
    for (uint32_t i = 0; i < file->num_sections; i++) {
        const uint8_t *entry = file->bytes + HEADER_BYTES + (uint64_t)i * ENTRY_BYTES;
        if (memcmp(entry, name, 4) != 0) continue;
        uint64_t offset = read_u64(entry + 8), size = read_u64(entry + 16);
        if (read_u32(entry + 4) != element_bytes || size % element_bytes != 0)
            return sir_fail(error, SIR_ERROR_FORMAT, name, "section %s must have elements of %" PRIu32 " bytes", name,
                            element_bytes);
        if (offset % 64 != 0 || offset > file->length || size > file->length - offset ||
            ((size + 63) / 64) * 64 + PADDING > file->length - offset)
            return sir_fail(error, SIR_ERROR_FORMAT, name, "section %s (with its padding) does not lie inside the file", name);
        *out = file->bytes + offset;
        *count = size / element_bytes;
        return SIR_OK;
    }
    return SIR_OK;
}

/* The optional stored weights, whose elements have 4 or 2 bytes. */
static int open_weights(const file_view *file, sir_segment *s, sir_error *error) {
    uint64_t count;
    s->weight_bytes = 4;
    if (find_section(file, "FWGT", 4, &s->weights, &count, NULL) != SIR_OK) {
        s->weight_bytes = 2;
        int status = find_section(file, "FWGT", 2, &s->weights, &count, error);
        if (status != SIR_OK) return status;
    }
    if (count == 0) s->weights = NULL;
    if (count != 0 && count != s->num_postings)
        return sir_fail(error, SIR_ERROR_FORMAT, "FWGT", "section FWGT should have %" PRIu64 " elements and has %" PRIu64,
                        s->num_postings, count);
    return SIR_OK;
}

typedef struct {
    const char *name;
    uint32_t element_bytes;
    const void **view;
    uint64_t *count;
} section_slot;

static int expect_count(const char *name, uint64_t have, uint64_t want, sir_error *error) {
    if (have == want) return SIR_OK;
    return sir_fail(error, SIR_ERROR_FORMAT, name, "section %s should have %" PRIu64 " elements and has %" PRIu64, name, want,
                    have);
}

static int open_sections(const file_view *file, sir_segment *s, sir_error *error) {
    uint64_t terms, records, docs, doc_offsets, impacts, ladder, block_max, levels, super_max, bits, ordinals, block_ordinals,
        window_starts;
    section_slot slots[] = {
        {"TERM", 4, (const void **)&s->term_ids, &terms},
        {"TREC", sizeof(sir_term), (const void **)&s->terms, &records},
        {"DOCS", 2, (const void **)&s->docs, &docs},
        {"DOCO", 8, (const void **)&s->doc_offsets, &doc_offsets},
        {"DOCB", 8, (const void **)&s->doc_words, &s->num_doc_words},
        {"IMPA", 1, (const void **)&s->impacts, &impacts},
        {"CELL", 4, (const void **)&s->cells, &s->num_cells},
        {"WNID", 2, (const void **)&s->window_ids, &s->num_windows},
        {"WNST", 4, (const void **)&s->window_starts, &window_starts},
        {"LADD", 1, (const void **)&s->ladder, &ladder},
        {"BMAX", 32, (const void **)&s->block_max, &block_max},
        {"BLEV", 1, (const void **)&s->levels, &levels},
        {"SMAX", 1, (const void **)&s->super_max, &super_max},
        {"BITS", 8, (const void **)&s->bits, &bits},
        {"ORDN", 4, (const void **)&s->ordinals, &ordinals},
        {"BORD", 4, (const void **)&s->block_ordinals, &block_ordinals},
    };
    int status;
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        status = find_section(file, slots[i].name, slots[i].element_bytes, slots[i].view, slots[i].count, error);
        if (status != SIR_OK) return status;
    }
    s->num_rows = s->without_blocks && s->num_supers > 0 ? super_max / s->num_supers : levels / SIR_NUM_LEVELS;
    if (s->packed) s->docs = NULL; /* the section is there, but empty */
    if (s->without_blocks) s->block_max = s->levels = NULL;
    s->bits_stride = ((uint64_t)s->num_docs + 63) / 64;
    s->num_bits_rows = s->bits_stride == 0 ? 0 : bits / s->bits_stride;
    if (s->ordinals != NULL && ordinals == 0) s->ordinals = NULL;
    if (s->bits != NULL && bits == 0) s->bits = NULL;
    const struct {
        const char *name;
        uint64_t have, want;
    } expected[] = {
        {"TERM", terms, s->num_terms},
        {"TREC", records, s->num_terms},
        {"DOCS", docs, s->packed ? 0 : s->num_postings},
        {"DOCO", doc_offsets, s->packed ? s->num_terms : 0},
        {"DOCB", s->num_doc_words, s->packed ? s->num_doc_words : 0},
        {"IMPA", impacts, s->num_postings},
        {"WNST", window_starts, s->num_windows},
        {"LADD", ladder, 16 * (uint64_t)s->num_terms},
        {"BLEV", levels, s->without_blocks ? 0 : SIR_NUM_LEVELS * s->num_rows},
        {"BMAX", block_max, s->without_blocks ? 0 : s->num_rows * s->num_supers},
        {"SMAX", super_max, s->num_rows * s->num_supers},
        {"BITS", bits, s->num_bits_rows * s->bits_stride},
        {"ORDN", ordinals, s->ordinals == NULL ? 0 : s->num_docs},
        {"BORD", block_ordinals, s->ordinals == NULL ? 0 : s->num_blocks},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        status = expect_count(expected[i].name, expected[i].have, expected[i].want, error);
        if (status != SIR_OK) return status;
    }
    return SIR_OK;
}

/* Words that the doc_ids of a term take in DOCB. */
static uint64_t packed_words(const sir_segment *s, const sir_term *t) {
    if (t->cell_shift == SIR_SPARSE) return ((uint64_t)t->df + 3) / 4;
    if (t->bits_row != SIR_NO_ROW) return 0;
    return (sir_bucket_bits(s->num_docs, t->df) + 63) / 64 + ((uint64_t)t->df + 7) / 8;
}

/* The invariant that the packed doc_ids of a term break, or NULL. */
static const char *packed_fault(const sir_segment *s, const sir_term *t, uint64_t offset) {
    const uint64_t words = packed_words(s, t);
    if (offset > s->num_doc_words || words > s->num_doc_words - offset) return "packed doc_ids must lie inside DOCB";
    if (t->cell_shift < SIR_BUCKET_SHIFT) return "cell_shift of a packed segment must be 8 .. 16 or 255";
    if (t->bits_row != SIR_NO_ROW && s->bits == NULL) return "bits_row must be a row of BITS";
    return NULL;
}

/* The invariant a term record breaks, or NULL. */
static const char *record_fault(const sir_segment *s, const sir_term *t) {
    if (t->df == 0 || t->df > s->num_docs) return "df must be 1 .. num_docs";
    if (t->postings_start > s->num_postings || t->df > s->num_postings - t->postings_start) return "postings must lie inside DOCS";
    if (t->cell_shift == SIR_SPARSE) {
        if (t->num_windows == 0 || t->directory_start > s->num_windows || t->num_windows > s->num_windows - t->directory_start)
            return "the sparse directory must lie inside WNID";
    } else {
        if (t->cell_shift < SIR_BLOCK_SHIFT || t->cell_shift > 16) return "cell_shift must be 5 .. 16 or 255";
        uint64_t entries = (((uint64_t)s->num_docs + (1u << t->cell_shift) - 1) >> t->cell_shift) + 1;
        if (t->directory_start > s->num_cells || entries > s->num_cells - t->directory_start)
            return "the dense directory must lie inside CELL";
    }
    if (t->bound_row != SIR_NO_ROW && t->bound_row >= s->num_rows) return "bound_row must be a row of BMAX";
    if (s->bits != NULL && t->bits_row != SIR_NO_ROW) {
        if (t->bits_row >= s->num_bits_rows) return "bits_row must be a row of BITS";
        if (t->cell_shift == SIR_SPARSE) return "a term with a bitmap must have a dense directory";
    }
    return NULL;
}

static int check_terms(const sir_segment *s, sir_error *error) {
    for (uint32_t i = 0; i < s->num_terms; i++) {
        const char *fault = record_fault(s, &s->terms[i]);
        if (fault == NULL && s->packed) fault = packed_fault(s, &s->terms[i], s->doc_offsets[i]);
        if (fault != NULL) return sir_fail(error, SIR_ERROR_FORMAT, "TREC", "term record %" PRIu32 ": %s", i, fault);
        if (i > 0 && s->term_ids[i] <= s->term_ids[i - 1])
            return sir_fail(error, SIR_ERROR_FORMAT, "TERM", "term ids must ascend; entry %" PRIu32 " does not", i);
    }
    return SIR_OK;
}

int sir_segment_map(const void *bytes, uint64_t length, sir_segment *segment, sir_error *error) {
    file_view file = {bytes, length, 0};
    memset(segment, 0, sizeof *segment);
    int status = open_header(&file, segment, error);
    if (status == SIR_OK) status = open_sections(&file, segment, error);
    if (status == SIR_OK) status = open_weights(&file, segment, error);
    if (status == SIR_OK) status = check_terms(segment, error);
    return status;
}

uint32_t sir_segment_find(const sir_segment *s, uint32_t term_id) {
    if (s->lookup != NULL) return term_id < s->lookup_size ? s->lookup[term_id] : SIR_NO_ROW;
    uint32_t lo = 0, hi = s->num_terms;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->term_ids[mid] < term_id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->num_terms && s->term_ids[lo] == term_id ? lo : SIR_NO_ROW;
}
