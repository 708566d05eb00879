/* Versions and layouts, which a binding compares with its own when it loads the library. */
#include "sparseir.h"

enum { FORMAT_VERSION = 1 };

/* clang-format off */
static const uint32_t ABI[] = {
    SIR_ABI_VERSION, FORMAT_VERSION,
    sizeof(sir_error), offsetof(sir_error, code), offsetof(sir_error, section), offsetof(sir_error, message),
    sizeof(sir_segment_source), offsetof(sir_segment_source, bytes), offsetof(sir_segment_source, length),
    offsetof(sir_segment_source, deleted), offsetof(sir_segment_source, deleted_length),
    sizeof(sir_index_options), offsetof(sir_index_options, doc_scale), offsetof(sir_index_options, ordinal_end),
    offsetof(sir_index_options, isa),
    sizeof(sir_stats), offsetof(sir_stats, postings_scored), offsetof(sir_stats, bounds_computed),
    offsetof(sir_stats, blocks_visited), offsetof(sir_stats, documents_scored), offsetof(sir_stats, queries),
    sizeof(sir_request), offsetof(sir_request, k), offsetof(sir_request, engine), offsetof(sir_request, allowed),
    offsetof(sir_request, workspace), offsetof(sir_request, workspace_bytes), offsetof(sir_request, stats),
    offsetof(sir_request, bound_factor), offsetof(sir_request, bound_mass), offsetof(sir_request, max_blocks),
    sizeof(sir_batch), offsetof(sir_batch, indptr), offsetof(sir_batch, term_ids), offsetof(sir_batch, weights),
    offsetof(sir_batch, num_queries), offsetof(sir_batch, next), offsetof(sir_batch, ordinals), offsetof(sir_batch, scores),
    sizeof(sir_float_request), offsetof(sir_float_request, segment), offsetof(sir_float_request, num_docs),
    offsetof(sir_float_request, num_terms), offsetof(sir_float_request, doc_ids), offsetof(sir_float_request, term_ids),
    offsetof(sir_float_request, weights),
    sizeof(sir_document_sample), offsetof(sir_document_sample, doc_ids), offsetof(sir_document_sample, segment),
    offsetof(sir_document_sample, num_docs), offsetof(sir_document_sample, terms),
    offsetof(sir_document_sample, num_terms), offsetof(sir_document_sample, room), offsetof(sir_document_sample, numbers),
    offsetof(sir_document_sample, term_ids), offsetof(sir_document_sample, impacts), offsetof(sir_document_sample, count),
    sizeof(sir_subset), offsetof(sir_subset, allowed), offsetof(sir_subset, segment), offsetof(sir_subset, doc_base),
    offsetof(sir_subset, next_term), offsetof(sir_subset, end_term), offsetof(sir_subset, room), offsetof(sir_subset, count),
    offsetof(sir_subset, counts), offsetof(sir_subset, doc_ids), offsetof(sir_subset, impacts), offsetof(sir_subset, ranks),
    offsetof(sir_subset, unpacked),
    sizeof(sir_rows), offsetof(sir_rows, indptr), offsetof(sir_rows, slots), offsetof(sir_rows, weights),
    offsetof(sir_rows, order),
    sizeof(sir_slot), offsetof(sir_slot, cursor), offsetof(sir_slot, last_window), offsetof(sir_slot, directory),
    sizeof(sir_inverted), offsetof(sir_inverted, docs), offsetof(sir_inverted, impacts), offsetof(sir_inverted, weights),
    offsetof(sir_inverted, window), offsetof(sir_inverted, window_first),
    sizeof(sir_term_tables), offsetof(sir_term_tables, num_docs), offsetof(sir_term_tables, reserved),
    offsetof(sir_term_tables, docs), offsetof(sir_term_tables, impacts), offsetof(sir_term_tables, start),
    offsetof(sir_term_tables, window_begin), offsetof(sir_term_tables, window), offsetof(sir_term_tables, window_first),
    offsetof(sir_term_tables, cell_shift), offsetof(sir_term_tables, cell_begin), offsetof(sir_term_tables, bound_row),
    offsetof(sir_term_tables, bits_row), offsetof(sir_term_tables, cells), offsetof(sir_term_tables, list_max),
    offsetof(sir_term_tables, ladder), offsetof(sir_term_tables, block_levels), offsetof(sir_term_tables, levels),
    offsetof(sir_term_tables, superblock_max), offsetof(sir_term_tables, bits), offsetof(sir_term_tables, doc_begin),
    offsetof(sir_term_tables, doc_words),
    sizeof(sir_key_lists), offsetof(sir_key_lists, keys), offsetof(sir_key_lists, begin), offsetof(sir_key_lists, end),
    offsetof(sir_key_lists, impacts), offsetof(sir_key_lists, weights), offsetof(sir_key_lists, scale),
    offsetof(sir_key_lists, clipped), offsetof(sir_key_lists, num_terms), offsetof(sir_key_lists, num_docs),
    sizeof(sir_posting_runs), offsetof(sir_posting_runs, docs), offsetof(sir_posting_runs, impacts),
    offsetof(sir_posting_runs, run_row), offsetof(sir_posting_runs, run_base), offsetof(sir_posting_runs, run_start),
    offsetof(sir_posting_runs, run_end), offsetof(sir_posting_runs, num_runs), offsetof(sir_posting_runs, num_docs),
    offsetof(sir_posting_runs, window_shift), offsetof(sir_posting_runs, group), offsetof(sir_posting_runs, reserved),
    sizeof(sir_device_layout), offsetof(sir_device_layout, window_entry), offsetof(sir_device_layout, window_posting),
    offsetof(sir_device_layout, entry_row), offsetof(sir_device_layout, entry_start), offsetof(sir_device_layout, local),
    offsetof(sir_device_layout, impact),
    sizeof(sir_query_rows), offsetof(sir_query_rows, indptr), offsetof(sir_query_rows, ids), offsetof(sir_query_rows, weights),
    offsetof(sir_query_rows, num_queries),
    sizeof(sir_device_calls), offsetof(sir_device_calls, upload), offsetof(sir_device_calls, clear),
    offsetof(sir_device_calls, launch), offsetof(sir_device_calls, download),
    sizeof(sir_device_launch), offsetof(sir_device_launch, kernel), offsetof(sir_device_launch, blocks),
    offsetof(sir_device_launch, threads), offsetof(sir_device_launch, shared_bytes), offsetof(sir_device_launch, first_window),
    offsetof(sir_device_launch, num_windows), offsetof(sir_device_launch, clear),
    sizeof(sir_device_batch), offsetof(sir_device_batch, queries), offsetof(sir_device_batch, queries_at),
    offsetof(sir_device_batch, queries_bytes), offsetof(sir_device_batch, clear_at), offsetof(sir_device_batch, clear_bytes),
    offsetof(sir_device_batch, task), offsetof(sir_device_batch, first_window), offsetof(sir_device_batch, num_windows),
    offsetof(sir_device_batch, clear), offsetof(sir_device_batch, launches), offsetof(sir_device_batch, num_launches),
    offsetof(sir_device_batch, answer), offsetof(sir_device_batch, answer_at), offsetof(sir_device_batch, answer_bytes),
    sizeof(sir_token_tiles), offsetof(sir_token_tiles, tokens), offsetof(sir_token_tiles, text), offsetof(sir_token_tiles, first),
    offsetof(sir_token_tiles, num_tiles),
    sizeof(sir_term_tiles), offsetof(sir_term_tiles, tiled), offsetof(sir_term_tiles, num_terms), offsetof(sir_term_tiles, width),
    offsetof(sir_term_tiles, first), offsetof(sir_term_tiles, last),
};
/* clang-format on */

uint32_t sir_format_version(void) { return FORMAT_VERSION; }

const uint32_t *sir_abi(uint32_t *count) {
    *count = sizeof ABI / sizeof *ABI;
    return ABI;
}
