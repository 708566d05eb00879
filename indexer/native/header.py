"""native/include/sparseir.h for ctypes: its structs and the types of its functions, in its order.

`indexer.native.library` compares versions and layouts with those of the library it loads, and a test compares
everything here with the header. A struct is named as in C, without the prefix; every pointer is a plain address.
"""

from __future__ import annotations

import ctypes
from itertools import chain
from typing import Any

ABI_VERSION = 2
FORMAT_VERSION = 1
NUM_ENGINES = 7

P, I32, I64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
U8, U16, U32, U64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
F32, F64 = ctypes.c_float, ctypes.c_double


def _all(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class Error(ctypes.Structure):
    _fields_ = (("code", I32), ("section", ctypes.c_char * 8), ("message", ctypes.c_char * 240))


class SegmentSource(ctypes.Structure):
    _fields_ = (("bytes", P), ("length", U64), ("deleted", P), ("deleted_length", U64))


class IndexOptions(ctypes.Structure):
    _fields_ = (("doc_scale", F64), ("ordinal_end", U64), ("isa", U32))


class Stats(ctypes.Structure):
    _fields_ = (
        *_all(U64, "postings_scored bounds_computed blocks_visited documents_scored"),
        ("queries", U64 * NUM_ENGINES),
    )


class Request(ctypes.Structure):
    _fields_ = (
        ("k", U32),
        ("engine", U32),
        ("allowed", P),
        ("workspace", P),
        ("workspace_bytes", U64),
        ("stats", P),
        ("bound_factor", F64),
        ("bound_mass", F64),
        ("max_blocks", U32),
    )


class Batch(ctypes.Structure):
    _fields_ = (*_all(P, "indptr term_ids weights"), ("num_queries", I64), *_all(P, "next ordinals scores"))


class FloatRequest(ctypes.Structure):
    _fields_ = (*_all(U32, "segment num_docs num_terms"), *_all(P, "doc_ids term_ids weights"))


class DocumentSample(ctypes.Structure):
    _fields_ = (
        ("doc_ids", P),
        ("segment", U32),
        ("num_docs", U32),
        ("terms", P),
        ("num_terms", U64),
        ("room", U64),
        *_all(P, "numbers term_ids impacts"),
        ("count", U64),
    )


class Subset(ctypes.Structure):
    _fields_ = (
        ("allowed", P),
        *_all(U32, "segment doc_base next_term end_term"),
        ("room", U64),
        ("count", U64),
        *_all(P, "counts doc_ids impacts ranks unpacked"),
    )


class Rows(ctypes.Structure):
    _fields_ = (*_all(P, "indptr slots weights order"),)


class Slot(ctypes.Structure):
    _fields_ = (("cursor", U64), ("last_window", U32), ("directory", U32))


class Inverted(ctypes.Structure):
    _fields_ = (*_all(P, "docs impacts weights window window_first"),)


class TermTables(ctypes.Structure):
    _fields_ = (
        ("num_docs", U32),
        ("reserved", U32),
        *_all(
            P,
            "docs impacts start window_begin window window_first cell_shift cell_begin bound_row bits_row cells list_max ladder block_levels levels superblock_max bits doc_begin doc_words",
        ),
    )


class KeyLists(ctypes.Structure):
    _fields_ = (
        *_all(P, "keys begin end impacts weights"),
        ("scale", F64),
        ("clipped", U64),
        ("num_terms", U32),
        ("num_docs", U32),
    )


class PostingRuns(ctypes.Structure):
    _fields_ = (
        *_all(P, "docs impacts run_row run_base run_start run_end"),
        ("num_runs", U64),
        *_all(U32, "num_docs window_shift group reserved"),
    )


class DeviceLayout(ctypes.Structure):
    _fields_ = (*_all(P, "window_entry window_posting entry_row entry_start local impact"),)


class QueryRows(ctypes.Structure):
    _fields_ = (*_all(P, "indptr ids weights"), ("num_queries", U64))


class DeviceCalls(ctypes.Structure):
    _fields_ = (*_all(P, "upload clear launch download"),)


class DeviceLaunch(ctypes.Structure):
    _fields_ = (("kernel", P), *_all(U32, "blocks threads shared_bytes first_window num_windows clear"))


class DeviceBatch(ctypes.Structure):
    _fields_ = (
        ("queries", P),
        *_all(U64, "queries_at queries_bytes clear_at clear_bytes"),
        *_all(P, "task first_window num_windows clear launches"),
        ("num_launches", U64),
        ("answer", P),
        ("answer_at", U64),
        ("answer_bytes", U64),
    )


class TokenTiles(ctypes.Structure):
    _fields_ = (*_all(P, "tokens text first"), ("num_tiles", U64))


class TermTiles(ctypes.Structure):
    _fields_ = (("tiled", P), *_all(U32, "num_terms width"), *_all(U64, "first last"))


STRUCTS: tuple[type[ctypes.Structure], ...] = (
    *(Error, SegmentSource, IndexOptions, Stats, Request, Batch),
    *(FloatRequest, DocumentSample, Subset),
    *(Rows, Slot, Inverted, TermTables, KeyLists),
    *(PostingRuns, DeviceLayout, QueryRows, DeviceCalls, DeviceLaunch, DeviceBatch),
    *(TokenTiles, TermTiles),
)

FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "sir_format_version": (U32, ()),
    "sir_abi": (P, (P,)),
    "sir_index_open": (I32, (P, U32, P, P, P)),
    "sir_index_close": (None, (P,)),
    "sir_index_isa": (U32, (P,)),
    "sir_index_engines": (U32, (P,)),
    "sir_index_segment_docs": (U32, (P, U32)),
    "sir_workspace_bytes": (U64, (P, U32, U32)),
    "sir_search": (I32, (P, P, P, P, U32, P, P, P)),
    "sir_search_quantized": (I32, (P, P, P, P, U32, P, P, P)),
    "sir_search_batch": (I32, (P, P, P, P)),
    "sir_float_scores": (I32, (P, P, P, P)),
    "sir_document_vectors": (I32, (P, P, P)),
    "sir_subset_postings": (I32, (P, P, P)),
    "sir_check_rows": (None, (P, I64, U32, P)),
    "sir_count_postings": (None, (P, U32, U32, P)),
    "sir_scatter_postings": (None, (P, P, F64, P, P, P)),
    "sir_describe_terms": (None, (P, U32, U32, P)),
    "sir_unpack_lists": (None, (P, U32, P, P)),
    "sir_check_postings": (None, (P, U32, P)),
    "sir_place_lists": (None, (P, P, P, U32, U32, P, P)),
    "sir_finish_lists": (None, (P, P, P, P, P)),
    "sir_hash_names": (None, (P, P, I64, P)),
    "sir_device_layout_measure": (I32, (P, P, P)),
    "sir_device_layout_fill": (I32, (P, P, P)),
    "sir_quantize_queries": (I32, (P, P, U64, P, P, P)),
    "sir_resolve_queries": (U64, (P, P, U64, P)),
    "sir_initial_thresholds": (None, (P, P, U32, P)),
    "sir_device_submit": (I32, (P, P)),
    "sir_tiles_usable": (I32, ()),
    "sir_tiled_terms_size": (U64, (U32, U32)),
    "sir_tile_terms": (None, (P, U32, U32, P)),
    "sir_max_products": (None, (P, P, P, P)),
}
"""Result and parameters of each function."""


def abi() -> list[int]:
    """What `sir_abi` must return: the versions, then size and offsets of every struct."""
    layouts = ((ctypes.sizeof(s), *(getattr(s, field[0]).offset for field in s._fields_)) for s in STRUCTS)
    return [ABI_VERSION, FORMAT_VERSION, *chain.from_iterable(layouts)]
