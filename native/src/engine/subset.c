/* Postings of a subset of a segment's documents: what a view of a filter is made of.
 *
 * A view is small and the segment is not, so that the time goes into passing over postings of other documents. A frequent
 * term's bitmap is intersected with the subset's, 64 documents at a time; of any other list the documents are looked up in
 * the subset's bitmap, of which a window, 8 KB, is in use at once. Nothing in a damaged file moves a read or write outside the
 * arrays: ranges are clamped as for searches, and each document is below 65,536 in its window. */
#include <inttypes.h>

#include "postings/packed.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,popcnt,bmi,bmi2")))
#define POPCNT __attribute__((target("popcnt,bmi,bmi2")))
#endif

enum { WORDS = SIR_WINDOW_DOCS / 64 };

/* What the loops below share: the subset, where its postings go, and how many there are. */
typedef struct {
    const uint64_t *allowed;
    const uint32_t *ranks; /* new doc_id of the first allowed document of each word, or of a later word */
    uint32_t *doc_ids;
    uint8_t *impacts;
    uint64_t count;
} subset_output;

/* Postings of one list in one window: their documents, or the term's bitmap, and their impacts. */
typedef struct {
    const uint16_t *docs;
    const uint64_t *bits;
    const uint8_t *impacts;
    uint32_t count;
    uint32_t first_word, num_words; /* of the window in the bitmaps */
} window_run;

static inline __attribute__((always_inline)) void keep(subset_output *out, uint32_t word, uint64_t bit, uint8_t impact) {
    out->doc_ids[out->count] = out->ranks[word] + (uint32_t)__builtin_popcountll(out->allowed[word] & (bit - 1));
    out->impacts[out->count++] = impact;
}

/* A term with a bitmap: a posting's number is the number of bits before. subtle: these loops work on a copy of the output,
 * or each impact stored might have changed it. */
static inline __attribute__((always_inline)) void intersect(window_run run, subset_output *output) {
    subset_output kept = *output, *out = &kept;
    uint32_t before = 0;
    for (uint32_t i = 0; i < run.num_words; i++) {
        const uint32_t word = run.first_word + i;
        for (uint64_t both = run.bits[word] & out->allowed[word]; both != 0; both &= both - 1) {
            const uint64_t bit = both & -both;
            const uint32_t posting = before + (uint32_t)__builtin_popcountll(run.bits[word] & (bit - 1));
            if (posting < run.count) keep(out, word, bit, run.impacts[posting]); /* a damaged bitmap has more bits */
        }
        before += (uint32_t)__builtin_popcountll(run.bits[word]);
    }
    *output = kept;
}

static inline __attribute__((always_inline)) void look_up(window_run run, uint32_t from, subset_output *output) {
    subset_output kept = *output, *out = &kept;
    for (uint32_t i = from; i < run.count; i++) {
        const uint32_t word = run.first_word + (run.docs[i] >> 6);
        const uint64_t bit = (uint64_t)1 << (run.docs[i] & 63);
        if ((out->allowed[word] & bit) != 0) keep(out, word, bit, run.impacts[i]);
    }
    *output = kept;
}

static void intersect_scalar(window_run run, subset_output *out) { intersect(run, out); }

static void look_up_scalar(window_run run, subset_output *out) { look_up(run, 0, out); }

#if defined(__x86_64__)
POPCNT static void intersect_popcnt(window_run run, subset_output *out) { intersect(run, out); }

POPCNT static void look_up_popcnt(window_run run, subset_output *out) { look_up(run, 0, out); }

/* Sixteen documents at a time: their words of the bitmap are gathered, their bits tested. */
AVX512 static void look_up_avx512(window_run run, subset_output *output) {
    subset_output kept = *output, *out = &kept;
    const uint32_t first = run.first_word;
    const void *window = out->allowed + first;
    const __m512i one = _mm512_set1_epi32(1), low = _mm512_set1_epi32(31);
    uint32_t i = 0;
    for (; i + 16 <= run.count; i += 16) {
        const __m512i docs = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(run.docs + i)));
        const __m512i words = _mm512_i32gather_epi32(_mm512_srli_epi32(docs, 5), window, 4);
        const __m512i bits = _mm512_sllv_epi32(one, _mm512_and_si512(docs, low));
        for (uint32_t hits = _mm512_test_epi32_mask(words, bits); hits != 0; hits &= hits - 1) {
            const uint32_t at = i + (uint32_t)__builtin_ctz(hits), doc = run.docs[at];
            keep(out, first + (doc >> 6), (uint64_t)1 << (doc & 63), run.impacts[at]);
        }
    }
    look_up(run, i, out);
    *output = kept;
}
#endif

typedef struct {
    void (*intersect)(window_run, subset_output *);
    void (*look_up)(window_run, subset_output *);
} subset_loops;

static subset_loops loops_for(uint32_t isa) {
#if defined(__x86_64__)
    if (isa == SIR_ISA_AVX512) return (subset_loops){intersect_popcnt, look_up_avx512};
    if (isa == SIR_ISA_AVX2) return (subset_loops){intersect_popcnt, look_up_popcnt};
#endif
    (void)isa;
    return (subset_loops){intersect_scalar, look_up_scalar};
}

static void fill_ranks(const sir_subset *r, uint32_t num_words) {
    uint32_t rank = r->doc_base;
    for (uint32_t word = 0; word < num_words; word++) {
        r->ranks[word] = rank;
        rank += (uint32_t)__builtin_popcountll(r->allowed[word]);
    }
    r->ranks[num_words] = rank;
}

/* One list, in the windows that hold a wanted document. Windows of a damaged directory may overlap; no more postings are read
 * than the list has. */
static void cut_list(const sir_context *c, sir_list *list, uint32_t num_windows, const subset_loops *loops, subset_output *out) {
    const sir_segment *s = c->segment;
    const int bitmap = s->bits != NULL && list->term->bits_row != SIR_NO_ROW;
    uint32_t left = list->term->df;
    for (uint32_t window = 0; window < num_windows; window++) {
        const uint32_t first = window * WORDS;
        if (out->ranks[first] == out->ranks[first + WORDS]) continue;
        sir_enter_window(s, list, window);
        if (list->start >= list->end) continue;
        window_run run = {.first_word = first,
                          .num_words = (uint32_t)(s->bits_stride - first < WORDS ? s->bits_stride - first : WORDS)};
        if (bitmap)
            run.bits = s->bits + list->term->bits_row * s->bits_stride;
        else
            run.docs = sir_window_docs(c, list, window);
        run.impacts = list->impacts + list->start;
        run.count = list->end - list->start < left ? list->end - list->start : left;
        left -= run.count;
        (bitmap ? loops->intersect : loops->look_up)(run, out);
    }
}

int sir_subset_postings(const sir_index *index, sir_subset *r, sir_error *error) {
    if (r->segment >= index->num_segments)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there is no segment %" PRIu32, r->segment);
    const sir_segment *s = &index->segments[r->segment];
    if (r->end_term > s->num_terms)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "there are %" PRIu32 " terms, not %" PRIu32, s->num_terms, r->end_term);
    if (r->next_term < r->end_term && s->terms[r->next_term].df > r->room)
        return sir_fail(error, SIR_ERROR_ARGUMENT, "", "room for %" PRIu64 " postings; a list has %" PRIu32, r->room,
                        s->terms[r->next_term].df);
    const subset_loops loops = loops_for(index->kernels->isa);
    const uint32_t num_windows = (uint32_t)(((uint64_t)s->num_docs + SIR_WINDOW_DOCS - 1) / SIR_WINDOW_DOCS);
    subset_output out = {r->allowed, r->ranks, r->doc_ids, r->impacts, 0};
    sir_workspace workspace = {.unpacked = r->unpacked};
    const sir_context context = {.segment = s, .kernels = index->kernels, .workspace = &workspace};
    fill_ranks(r, num_windows * WORDS);
    for (; r->next_term < r->end_term && s->terms[r->next_term].df <= r->room - out.count; r->next_term++) {
        const uint64_t before = out.count;
        sir_list list = sir_list_of(s, r->next_term, 1);
        cut_list(&context, &list, num_windows, &loops, &out);
        r->counts[r->next_term] = (uint32_t)(out.count - before);
    }
    r->count = out.count;
    return SIR_OK;
}
