/* The one public header of the C library: all contracts of the query engine and the index builder.
 *
 * Conventions, for every function:
 *  - returns SIR_OK or an error code; a caller-owned sir_error, which may be NULL, receives the sentence for a person;
 *  - arrays belong to the caller and are borrowed for the call, or, where said, for the life of a handle;
 *  - the caller has checked dtype, contiguity and range of what it passes; bytes that come from a file are never trusted;
 *  - nothing prints, exits, or keeps global state; distinct handles and workspaces may be used from distinct threads.
 */
#ifndef SPARSEIR_H
#define SPARSEIR_H

#include <stddef.h>
#include <stdint.h>

#if defined(SIR_BUILDING) && defined(__GNUC__)
#define SIR_API __attribute__((visibility("default")))
#else
#define SIR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SIR_OK = 0,
    SIR_ERROR_FORMAT = 1,   /* bytes of an index break the format */
    SIR_ERROR_ARGUMENT = 2, /* a value the caller passed is out of its documented range */
    SIR_ERROR_MEMORY = 3,   /* an allocation failed, or a caller's buffer is too small */
    SIR_ERROR_IO = 4        /* a file operation failed */
};

typedef struct sir_error {
    int32_t code;
    char section[8];    /* name of the section at fault, or "" */
    char message[240];  /* one sentence, NUL-terminated */
} sir_error;

/* Version of the index format this library writes and reads. */
SIR_API uint32_t sir_format_version(void);

enum { SIR_ABI_VERSION = 2 }; /* raised with every change of a function's name, parameters or meaning */

/* What a binding must agree with the library about before it calls anything else: SIR_ABI_VERSION, sir_format_version(), then of
 * every struct of this header, in its order, the size and the offset of each field. *count receives how many numbers these are. */
SIR_API const uint32_t *sir_abi(uint32_t *count);

/* ---- the query engine ------------------------------------------------------------------------------------------ */

/* One segment file, mapped or loaded whole. bytes must be 8-byte aligned and outlive the index that borrows them.
 * deleted: bit (d mod 8) of byte d / 8 is set where doc_id d is deleted; NULL when nothing is. It is copied. */
typedef struct sir_segment_source {
    const void *bytes;
    uint64_t length;
    const uint8_t *deleted;
    uint64_t deleted_length; /* at least ceil(num_docs / 8) when deleted is given */
} sir_segment_source;

/* An opened index: segments, their deletions, and the kernels chosen for this processor. Immutable, shared by threads. */
typedef struct sir_index sir_index;

/* Instruction sets, narrowest first. SIR_ISA_BEST asks for the widest this processor has. */
enum { SIR_ISA_BEST = 0, SIR_ISA_SCALAR = 1, SIR_ISA_AVX2 = 2, SIR_ISA_AVX512 = 3, SIR_ISA_NEON = 4 };

typedef struct sir_index_options {
    double doc_scale;     /* weight of one impact unit, > 0 */
    uint64_t ordinal_end; /* every ordinal is below it; 0: unknown, those of several segments are then read */
    uint32_t isa;         /* SIR_ISA_*; one this processor lacks is SIR_ERROR_ARGUMENT */
} sir_index_options;

/* Opens and checks segments; out receives the index, to be released with sir_index_close.
 * Cost: O(terms); postings are not read, every position taken from them is bounded where it is used. Allocates.
 * All ordinals of the segments must lie within 2^32 of each other. */
SIR_API int sir_index_open(const sir_segment_source *segments, uint32_t num_segments, const sir_index_options *options,
                           sir_index **out, sir_error *error);
SIR_API void sir_index_close(sir_index *index);

/* The instruction set the index was opened with (SIR_ISA_*). */
SIR_API uint32_t sir_index_isa(const sir_index *index);

/* Bit SIR_ENGINE_* is set where all segments have what that engine needs; the compact layout of docs/index-format.md lacks maxima of blocks. */
SIR_API uint32_t sir_index_engines(const sir_index *index);

/* Documents of one segment, deleted ones included. */
SIR_API uint32_t sir_index_segment_docs(const sir_index *index, uint32_t segment);

enum {
    SIR_ENGINE_AUTO = 0,
    SIR_ENGINE_EXHAUSTIVE = 1,
    SIR_ENGINE_MAXSCORE = 2,
    SIR_ENGINE_WAND = 3,
    SIR_ENGINE_BLOCK_MAX_WAND = 4,
    SIR_ENGINE_BLOCK_FILTER = 5,
    SIR_ENGINE_APPROXIMATE = 6, /* block filter that also passes over blocks which may hold a hit; see sir_request */
    SIR_NUM_ENGINES = 7
};

/* Work done by searches. The caller sets it to 0; every search adds to it. Postings and documents that a filter excludes are
 * counted where an engine goes through them all the same. */
typedef struct sir_stats {
    uint64_t postings_scored; /* products of a query weight and an impact */
    /* Upper bounds of blocks (made for whole superblocks of 64), of superblocks, of pivots, and in maxscore of every list in
     * every window. */
    uint64_t bounds_computed;
    uint64_t blocks_visited;  /* blocks whose postings were read; in wand superblocks, in exhaustive and maxscore windows */
    /* Documents whose score was compared with the threshold: all of a window in exhaustive, all of a block that was scored with
     * every list in the block filter, those that the essential lists leave in maxscore, the pivots in wand and block_max_wand. */
    uint64_t documents_scored;
    uint64_t queries[SIR_NUM_ENGINES]; /* segments searched, by engine; those of auto also under the engine it chose */
} sir_stats;

/* What stays the same from query to query. */
typedef struct sir_request {
    uint32_t k;      /* hits wanted, 1 .. 2^30 */
    uint32_t engine; /* SIR_ENGINE_* */
    /* NULL, or one pointer a segment: bit (d mod 64) of word d / 64 set where doc_id d may be a hit, ceil(num_docs / 64)
     * words; a NULL pointer allows every document that is not deleted. */
    const uint64_t *const *allowed;
    void *workspace;          /* scratch of one thread, 64-byte aligned, at least sir_workspace_bytes() */
    uint64_t workspace_bytes;
    sir_stats *stats;         /* NULL: not counted */
    /* Of SIR_ENGINE_APPROXIMATE only. A block is scored when its bound divided by bound_factor (1 .. 1000; 1 is exact) reaches
     * the threshold: bounds are loose, so that a factor somewhat above 1 loses few hits. Where it is above 1, only the
     * heaviest terms are in the bounds, those that hold bound_mass (above 0, at most 1) of what all terms may contribute.
     * At most max_blocks are scored a segment, best bounds first; 0: no limit. With `allowed` the search is exact. */
    double bound_factor;
    double bound_mass;
    uint32_t max_blocks;
} sir_request;

/* Scratch that searches of up to k hits and num_terms query terms need. */
SIR_API uint64_t sir_workspace_bytes(const sir_index *index, uint32_t k, uint32_t num_terms);

/* One query. term_ids, weights: num_terms of each, any order; weights float32. Terms the index does not hold, and
 * weights of exactly 0, count for nothing. ordinals, scores: k of each; best first, ties by smaller ordinal, padded with
 * -1 and -infinity. Refused with SIR_ERROR_ARGUMENT: a negative, infinite or NaN weight, a term given twice.
 * Nothing is allocated. The arithmetic is that of tests/oracle.py. */
SIR_API int sir_search(const sir_index *index, const sir_request *request, const uint32_t *term_ids,
                       const float *weights, uint32_t num_terms, int64_t *ordinals, float *scores, sir_error *error);

/* As sir_search, with integer query weights already made and integer scores; for tests and for explain. */
SIR_API int sir_search_quantized(const sir_index *index, const sir_request *request, const uint32_t *term_ids,
                                 const uint32_t *query_weights, uint32_t num_terms, int64_t *ordinals,
                                 uint32_t *scores, sir_error *error);

/* Rows of queries in compressed sparse row form; outputs have num_queries rows of k. next is shared by all threads that
 * work on the batch, each with its own request: a thread takes the row *next and adds one, until num_queries. */
typedef struct sir_batch {
    const int64_t *indptr;
    const uint32_t *term_ids;
    const float *weights;
    int64_t num_queries;
    int64_t *next; /* starts at 0 */
    int64_t *ordinals;
    float *scores;
} sir_batch;
SIR_API int sir_search_batch(const sir_index *index, const sir_request *request, const sir_batch *batch,
                             sir_error *error);

/* Documents of one segment to be scored over the weights it stores. */
typedef struct sir_float_request {
    uint32_t segment, num_docs, num_terms;
    const uint32_t *doc_ids;
    const uint32_t *term_ids; /* ascending */
    const float *weights;
} sir_float_request;

/* scores[d] = sum over the terms, in ascending term id and in float64, of query weight times stored weight.
 * SIR_ERROR_ARGUMENT where the segment stores none. Cost: a look-up a document and term. */
SIR_API int sir_float_scores(const sir_index *index, const sir_float_request *request, double *scores, sir_error *error);

/* Documents of one segment whose vectors are wanted, and where their postings go. */
typedef struct sir_document_sample {
    const uint32_t *doc_ids;
    uint32_t segment, num_docs;
    const uint32_t *terms; /* which of the segment's terms are looked at, by place, ascending; NULL: all */
    uint64_t num_terms;
    uint64_t room;      /* of each of the three arrays */
    uint32_t *numbers;  /* which of the documents, 0 .. num_docs - 1 */
    uint32_t *term_ids;
    uint8_t *impacts;
    uint64_t count;     /* out: postings there are; those beyond room were not written */
} sir_document_sample;

/* Postings of some documents, those of a document by ascending term id. Cost: a look-up for every document and term that is looked
 * at, or a look at all postings of these terms for every four documents, whichever is less (.1 to some milliseconds a document):
 * for samples and first hits, not for ranking. */
SIR_API int sir_document_vectors(const sir_index *index, sir_document_sample *sample, sir_error *error);

/* Documents of one segment whose postings are wanted, and where these go. */
typedef struct sir_subset {
    const uint64_t *allowed; /* whole windows of 1,024 words: bit (d mod 64) of word d / 64 is set where doc_id d is wanted */
    uint32_t segment;
    uint32_t doc_base;       /* new doc_id of the first wanted document; the others follow in their order */
    uint32_t next_term;      /* in: the first term to read; out: the first not read, end_term when done */
    uint32_t end_term;       /* one past the last term to read; disjoint ranges may be read in parallel */
    uint64_t room;           /* of doc_ids and impacts; at least as much as the longest list */
    uint64_t count;          /* out: postings written */
    uint32_t *counts;        /* by term of the segment: its postings written */
    uint32_t *doc_ids;       /* new ones, ascending in each list of a sound file */
    uint8_t *impacts;
    uint32_t *ranks;         /* scratch: as many as words of allowed, and one */
    uint16_t *unpacked;      /* scratch: 65,536 + 64 */
} sir_subset;

/* Postings of the wanted documents by ascending term, then in the order of doc_ids, of as many terms next_term .. end_term - 1
 * as there is certainly room for: at least one. Allocates nothing. Cost: a pass over the postings in windows that hold a
 * wanted document, half a nanosecond each. */
SIR_API int sir_subset_postings(const sir_index *index, sir_subset *subset, sir_error *error);

/* ---- index builder -------------------------------------------------------------------------------------------- */

/* Rows of a document matrix (CSR), read in the order of doc_ids. Terms are slots: dense numbers 0..num_slots-1 that
 * ascend with the term id (the term id itself where the vocabulary is small). */
typedef struct sir_rows {
    const int64_t *indptr;      /* rows + 1 */
    const uint32_t *slots;      /* nnz, ascending in a row */
    const float *weights;       /* nnz, > 0 and finite */
    const uint32_t *order;      /* row of each doc_id, or NULL where doc_id = row */
} sir_rows;

/* State of one slot in the two passes of an inversion; 16 bytes, so that all slots of a usual vocabulary stay in L2. */
typedef struct sir_slot {
    uint64_t cursor;        /* counting: number of postings; scattering: where the next posting goes */
    uint32_t last_window;   /* window of the previous posting; starts at 0xFFFFFFFF */
    uint32_t directory;     /* counting: number of windows with a posting; scattering: next entry of the directory */
} sir_slot;

/* Where an inversion writes. */
typedef struct sir_inverted {
    uint16_t *docs;         /* doc_id mod 65536 by slot, then doc_id */
    uint8_t *impacts;
    float *weights;         /* the weights themselves in the same order, or NULL */
    uint16_t *window;       /* window of each directory entry */
    uint64_t *window_first; /* its first posting, counted from the start of the arrays */
} sir_inverted;

/* First row that cannot be indexed: its number in *row, or -1 when every row ascends strictly below num_terms and all
 * weights are finite and > 0. Reads each value once; never fails. indptr must describe the arrays. */
SIR_API void sir_check_rows(const sir_rows *rows, int64_t num_rows, uint32_t num_terms, int64_t *row);

/* First pass over documents doc_begin..doc_end: adds their postings and windows to `slots`. O(postings). */
SIR_API void sir_count_postings(const sir_rows *rows, uint32_t doc_begin, uint32_t doc_end, sir_slot *slots);

/* Second pass: quantises and writes every posting of documents doc_begin..doc_end at its slot's cursor. Calls on
 * disjoint ranges of whole windows may run in parallel, each with its own `slots`. *clipped is added to. */
SIR_API void sir_scatter_postings(const sir_rows *rows, const uint32_t doc_range[2], double scale, sir_slot *slots,
                                  const sir_inverted *out, uint64_t *clipped);

/* What the passes over finished posting lists read and write. Arrays by term, except where said. */
typedef struct sir_term_tables {
    uint32_t num_docs;
    uint32_t reserved;
    const uint16_t *docs;           /* postings */
    const uint8_t *impacts;
    const uint64_t *start;          /* first posting of each term, and the end: terms + 1 */
    const uint64_t *window_begin;   /* terms + 1: each term's range in window / window_first */
    const uint16_t *window;
    const uint64_t *window_first;
    const uint8_t *cell_shift;      /* 5..16: fill cells; 255: none */
    const uint64_t *cell_begin;     /* where each term's cells start */
    const uint32_t *bound_row;      /* 0xFFFFFFFF: none */
    const uint32_t *bits_row;       /* 0xFFFFFFFF: none */
    uint32_t *cells;
    uint8_t *list_max;
    uint8_t *ladder;                /* 16 a term */
    uint8_t *block_levels;          /* BMAX: 32 * superblocks a row; NULL: only superblock_max is made */
    uint8_t *levels;                /* BLEV: 16 a row */
    uint8_t *superblock_max;        /* SMAX: superblocks a row */
    uint64_t *bits;                 /* BITS: ceil(num_docs / 64) words a row */
    const uint64_t *doc_begin;      /* packed doc_ids: first word of each term in doc_words */
    uint64_t *doc_words;            /* DOCB; NULL: doc_ids are not packed */
} sir_term_tables;

/* Fills list maxima, ladders, cells and bounds of terms term_begin..term_end. scratch: 64 * superblocks bytes, one
 * a thread. Disjoint ranges may run in parallel. */
SIR_API void sir_describe_terms(const sir_term_tables *tables, uint32_t term_begin, uint32_t term_end, uint8_t *scratch);

/* Writes the low 16 bits of the doc_ids of a packed segment's postings into docs. Reads start (from 0), the windows, cell_shift,
 * bits_row, doc_begin, doc_words and bits, which must lie inside their arrays. *term receives the first term whose doc_ids are not
 * in the windows, or not as many, as its directory says; num_terms when all are sound. */
SIR_API void sir_unpack_lists(const sir_term_tables *tables, uint32_t num_terms, uint16_t *docs, uint32_t *term);

/* First term of 0..num_terms-1 whose list has an impact of 0, or doc_ids that do not ascend inside a window or reach
 * num_docs; num_terms when all are sound. Reads docs, impacts, start and the windows, which must lie inside the arrays. */
SIR_API void sir_check_postings(const sir_term_tables *tables, uint32_t num_terms, uint32_t *term);

/* Appends each posting of a segment's terms to the key list of slot[term], as map[doc_id] << 32 | place, where place is
 * payload_base + the posting's number in the source. Those mapped to 0xFFFFFFFF are dropped. A list needs room for
 * its dropped postings too. cursor[slot]: where the list goes on; advanced. */
SIR_API void sir_place_lists(const sir_term_tables *source, const uint32_t *map, const uint32_t *slot,
                             uint32_t num_terms, uint32_t payload_base, uint64_t *cursor, uint64_t *keys);

/* Key lists and the payloads their places point at. */
typedef struct sir_key_lists {
    uint64_t *keys;
    const uint64_t *begin; /* by term: its keys are keys[begin .. end) */
    const uint64_t *end;
    const uint8_t *impacts; /* by place; NULL: made from the weights with scale */
    const float *weights;   /* by place; NULL: only impacts travel */
    double scale;
    uint64_t clipped;       /* out: weights cut to 255 */
    uint32_t num_terms;
    uint32_t num_docs;      /* all doc_ids are below it */
} sir_key_lists;

/* Sorts each list and writes it out, lists one after the other, with its windows. start, window_begin: num_terms + 1.
 * scratch: as many keys as the longest list. */
SIR_API void sir_finish_lists(sir_key_lists *lists, uint64_t *scratch, const sir_inverted *out, uint64_t *start,
                              uint64_t *window_begin);

/* FNV-1a (64 bit) of each name: bytes[offsets[i] .. offsets[i + 1]). */
SIR_API void sir_hash_names(const uint8_t *bytes, const uint64_t *offsets, int64_t n, uint64_t *out);

/* ---- Device layout (native/src/device/layout.c): postings regrouped for a GPU; docs/gpu.md draws it ----
 *
 * Input: the postings of a segment as runs. Run r holds the postings [run_start[r], run_end[r]) of the term row
 * run_row[r] in the 65,536 documents from run_base[r] on: docs[p] is the low half of the doc_id, ascending within a run.
 * Runs ascend by (row, base). A window is 2^window_shift documents, 5 <= window_shift <= 16; every list of a window is
 * padded to a multiple of `group` postings (1 or 4) with impact 0. */
typedef struct sir_posting_runs {
    const uint16_t *docs;
    const uint8_t *impacts;
    const uint32_t *run_row;   /* (num_runs) */
    const uint32_t *run_base;  /* (num_runs), multiples of 65,536 */
    const uint64_t *run_start; /* (num_runs) */
    const uint64_t *run_end;   /* (num_runs) */
    uint64_t num_runs;
    uint32_t num_docs;
    uint32_t window_shift;
    uint32_t group;
    uint32_t reserved;
} sir_posting_runs;

typedef struct sir_device_layout {
    uint64_t *window_entry;   /* (num_windows + 1) first directory entry of each window */
    uint64_t *window_posting; /* (num_windows + 1) first posting of each window, padding counted */
    uint32_t *entry_row;      /* (entries) term row of each (window, term) pair present, ascending in its window */
    uint32_t *entry_start;    /* (entries + num_windows) start of each list relative to its window, and its window's end */
    uint16_t *local;          /* (postings) doc_id - first doc_id of the window, in bank order */
    uint8_t *impact;          /* (postings) 0 where padded */
} sir_device_layout;

/* Fills window_entry and window_posting, so that the caller can allocate the rest. O(postings), allocates nothing.
 * SIR_ERROR_FORMAT: a doc_id outside num_docs. SIR_ERROR_ARGUMENT: one window needs 2^32 postings or more. */
SIR_API int32_t sir_device_layout_measure(const sir_posting_runs *runs, const sir_device_layout *out, sir_error *error);

/* Fills the rest, after measure, from the same runs. Scratch of O(num_windows) is allocated and freed inside.
 * Bank order: in every row of 32 postings that 32 lanes add at once, the shared-memory banks (local mod 32) differ as far as
 * the list allows; the sum over rows of the most frequent bank is then the largest bank count of the list, its minimum. */
SIR_API int32_t sir_device_layout_fill(const sir_posting_runs *runs, const sir_device_layout *out, sir_error *error);

/* ---- Queries on their way to a GPU (native/src/device/queries.c) ---- */
typedef struct sir_query_rows {
    int64_t *indptr;  /* (num_queries + 1) */
    uint32_t *ids;    /* term ids, or rows of a segment's terms */
    int32_t *weights; /* 1..4,095 */
    uint64_t num_queries;
} sir_query_rows;

/* Integer weights of positive float ones and the scale of each query, as tests/oracle.py has them; 0 for an empty query.
 * SIR_ERROR_ARGUMENT: a query of more than 2^31 / 255 terms. */
SIR_API int sir_quantize_queries(const int64_t *indptr, const float *weights, uint64_t num_queries, int32_t *out,
                                 double *scale, sir_error *error);

/* Rows of ascending term_ids in place of term ids; terms that are not there are left out. `out` has room for all of `in`.
 * Returns how many are left. */
SIR_API uint64_t sir_resolve_queries(const sir_query_rows *in, const uint32_t *term_ids, uint64_t num_terms,
                                     sir_query_rows *out);

/* Raises each query's threshold to the largest weight * ladder[row][step] of its rows. */
SIR_API void sir_initial_thresholds(const sir_query_rows *rows, const uint8_t *ladder, uint32_t step,
                                    int32_t *thresholds);

/* ---- Submission to a GPU (native/src/device/submit.c) ---- */
typedef struct sir_device_calls { /* functions of libcuda; each returns a CUDA status, 0 being success */
    int32_t (*upload)(uint64_t to, const void *from, size_t bytes);         /* cuMemcpyHtoD_v2 */
    int32_t (*clear)(uint64_t at, unsigned char value, size_t bytes);       /* cuMemsetD8_v2 */
    int32_t (*launch)(void *kernel, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned,
                      unsigned shared_bytes, void *stream, void **parameters, void **extra); /* cuLaunchKernel */
    int32_t (*download)(void *to, uint64_t from, size_t bytes);             /* cuMemcpyDtoH_v2 */
} sir_device_calls;

typedef struct sir_device_launch {
    void *kernel;
    uint32_t blocks, threads, shared_bytes; /* no block: left out */
    uint32_t first_window, num_windows, clear;
} sir_device_launch;

typedef struct sir_device_batch {
    const void *queries; /* uploaded first */
    uint64_t queries_at, queries_bytes;
    uint64_t clear_at, clear_bytes; /* zeroed next */
    void *task;                     /* the only argument of every launch; three words of it change between launches */
    uint32_t *first_window, *num_windows, *clear;
    const sir_device_launch *launches;
    uint64_t num_launches;
    void *answer; /* downloaded last, when the launches have ended */
    uint64_t answer_at, answer_bytes;
} sir_device_batch;

/* Steps with 0 bytes are left out. Returns the first CUDA status that is not 0; nothing follows it. */
SIR_API int32_t sir_device_submit(const sir_device_calls *calls, const sir_device_batch *batch);

/* ---- The vocabulary head of an encoder (native/src/head/max_products.c) ---- */

/* 1 where the processor multiplies tiles of bfloat16 and the system lets this process use them, else 0. It asks the system. */
SIR_API int32_t sir_tiles_usable(void);

/* How many numbers sir_tile_terms writes for a vocabulary of num_terms rows of width numbers. */
SIR_API uint64_t sir_tiled_terms_size(uint32_t num_terms, uint32_t width);

/* Brings the rows of a vocabulary, bfloat16, into the order in which sir_max_products reads them. */
SIR_API void sir_tile_terms(const uint16_t *weight, uint32_t num_terms, uint32_t width, uint16_t *tiled);

/* Tokens of some texts, 16 to a tile, rows of bfloat16 that zeros fill up to a multiple of 32 numbers. A tile has tokens of one
 * text; its last rows repeat a token where the text has no more. */
typedef struct sir_token_tiles {
    const uint16_t *tokens;
    const uint32_t *text;  /* of each tile: the text its tokens are of */
    const uint32_t *first; /* of each tile: its first token's number in the text */
    uint64_t num_tiles;
} sir_token_tiles;

typedef struct sir_term_tiles {
    const uint16_t *tiled; /* from sir_tile_terms */
    uint32_t num_terms, width;
    uint64_t first, last; /* terms to multiply with, both multiples of 32; last at most num_terms rounded up to one */
} sir_term_tiles;

/* best[text][term] = max(best[text][term], the largest product of a token of the text with the term), summed in float32; a row has
 * num_terms rounded up to a multiple of 32. A product that is infinite or not a number makes it not a number. token, which may be
 * NULL, receives the number of the first token that attains a new maximum. Only where sir_tiles_usable() gave 1; may run on several
 * threads over distinct terms. */
SIR_API void sir_max_products(const sir_token_tiles *tokens, const sir_term_tiles *terms, float *best, int32_t *token);

#ifdef __cplusplus
}
#endif
#endif
