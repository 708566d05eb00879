"""Binding of the builder part of native/include/sparseir.h. Arrays are checked by the callers in this package."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.native.library import library

DROPPED = 0xFFFFFFFF
"""New doc_id of a document that a merge leaves out."""

SLOT = np.dtype([("cursor", "<u8"), ("last_window", "<u4"), ("directory", "<u4")])
"""sir_slot."""

_VOID = ctypes.c_void_p


class _Rows(ctypes.Structure):
    _fields_ = (("indptr", _VOID), ("slots", _VOID), ("weights", _VOID), ("order", _VOID))


class _Inverted(ctypes.Structure):
    _fields_ = tuple((name, _VOID) for name in ("docs", "impacts", "weights", "window", "window_first"))


class _TermTables(ctypes.Structure):
    _fields_ = (
        ("num_docs", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        *((name, _VOID) for name in ("docs", "impacts", "start", "window_begin", "window", "window_first")),
        *(
            (name, _VOID)
            for name in ("cell_shift", "cell_begin", "bound_row", "bits_row", "cells", "list_max", "ladder")
        ),
        *((name, _VOID) for name in ("block_levels", "levels", "superblock_max", "bits", "doc_begin", "doc_words")),
    )


class _KeyLists(ctypes.Structure):
    _fields_ = (
        *((name, _VOID) for name in ("keys", "begin", "end", "impacts", "weights")),
        ("scale", ctypes.c_double),
        ("clipped", ctypes.c_uint64),
        ("num_terms", ctypes.c_uint32),
        ("num_docs", ctypes.c_uint32),
    )


def _declare(name: str, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.argtypes = arguments
    function.restype = None
    return function


_check_rows = _declare("sir_check_rows", _VOID, ctypes.c_int64, ctypes.c_uint32, _VOID)
_count = _declare("sir_count_postings", _VOID, ctypes.c_uint32, ctypes.c_uint32, _VOID)
_scatter = _declare("sir_scatter_postings", _VOID, _VOID, ctypes.c_double, _VOID, _VOID, _VOID)
_describe = _declare("sir_describe_terms", _VOID, ctypes.c_uint32, ctypes.c_uint32, _VOID)
_check_postings = _declare("sir_check_postings", _VOID, ctypes.c_uint32, _VOID)
_unpack_lists = _declare("sir_unpack_lists", _VOID, ctypes.c_uint32, _VOID, _VOID)
_place_lists = _declare("sir_place_lists", _VOID, _VOID, _VOID, ctypes.c_uint32, ctypes.c_uint32, _VOID, _VOID)
_finish_lists = _declare("sir_finish_lists", _VOID, _VOID, _VOID, _VOID, _VOID)
_hash_names = _declare("sir_hash_names", _VOID, _VOID, ctypes.c_int64, _VOID)


def _address(array: NDArray[Any] | None) -> int | None:
    if array is None:
        return None
    assert array.flags.c_contiguous
    return array.ctypes.data


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as the C library reads them; holds the arrays so that they outlive the call.

    Parameters
    ----------
    indptr : int64 (rows + 1,).
    slots : uint32 (nnz,).
    weights : float32 (nnz,).
    order : uint32 (docs,), the row of each doc_id, or None.
    """

    indptr: NDArray[np.int64]
    slots: NDArray[np.uint32]
    weights: NDArray[np.float32]
    order: NDArray[np.uint32] | None = None

    def _struct(self) -> _Rows:
        return _Rows(_address(self.indptr), _address(self.slots), _address(self.weights), _address(self.order))


@dataclass(frozen=True, slots=True)
class InvertedArrays:
    """Outputs of a scatter; see sir_inverted."""

    docs: NDArray[np.uint16]
    impacts: NDArray[np.uint8]
    weights: NDArray[np.float32] | None
    window: NDArray[np.uint16]
    window_first: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Renumbering:
    """Where a source's postings go in a merge.

    Parameters
    ----------
    doc_ids : uint32, new doc_id of each old one; DROPPED for the deleted.
    slots : uint32, key list of each of the source's terms.
    payload_base : number of the source's first payload.
    cursor : uint64, where each key list goes on; advanced.
    """

    doc_ids: NDArray[np.uint32]
    slots: NDArray[np.uint32]
    payload_base: int
    cursor: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class KeyLists:
    """Key lists of a merge with their payloads; see sir_key_lists."""

    keys: NDArray[np.uint64]
    begin: NDArray[np.uint64]
    end: NDArray[np.uint64]
    impacts: NDArray[np.uint8] | None
    weights: NDArray[np.float32] | None
    scale: float
    num_docs: int


def first_bad_row(rows: Rows, num_terms: int) -> int:
    """Number of the first row that cannot be indexed as it stands, or -1."""
    found = ctypes.c_int64(-1)
    struct = rows._struct()
    _check_rows(ctypes.byref(struct), len(rows.indptr) - 1, num_terms, ctypes.byref(found))
    return found.value


def count_postings(rows: Rows, begin: int, end: int, slots: NDArray[Any]) -> None:
    """Add the postings and windows of documents begin..end to `slots`."""
    struct = rows._struct()
    _count(ctypes.byref(struct), begin, end, _address(slots))


def scatter_postings(rows: Rows, span: tuple[int, int], scale: float, slots: NDArray[Any], out: InvertedArrays) -> int:
    """Write the postings of documents span[0]..span[1]; returns how many weights were clipped."""
    struct = rows._struct()
    inverted = _Inverted(*(_address(getattr(out, name)) for name in InvertedArrays.__slots__))
    clipped = ctypes.c_uint64(0)
    bounds = (ctypes.c_uint32 * 2)(*span)
    _scatter(ctypes.byref(struct), bounds, scale, _address(slots), ctypes.byref(inverted), ctypes.byref(clipped))
    return clipped.value


def describe_terms(
    arrays: dict[str, NDArray[Any] | None], num_docs: int, span: tuple[int, int], scratch: NDArray[np.uint8]
) -> None:
    """Fill the tables of terms span[0]..span[1]; `arrays` holds every array of sir_term_tables by its name. Without
    doc_words the layout is the standard one."""
    struct = _TermTables(num_docs=num_docs, **{name: _address(array) for name, array in arrays.items()})
    _describe(ctypes.byref(struct), *span, _address(scratch))


def first_bad_list(arrays: dict[str, NDArray[Any]], num_docs: int) -> int:
    """Number of the first posting list that is not sound, or -1; `arrays` as for `describe_terms`, inputs only."""
    struct = _TermTables(num_docs=num_docs, **{name: _address(array) for name, array in arrays.items()})
    num_terms = len(arrays["start"]) - 1
    found = ctypes.c_uint32(0)
    _check_postings(ctypes.byref(struct), num_terms, ctypes.byref(found))
    return -1 if found.value == num_terms else found.value


def unpack_lists(arrays: dict[str, NDArray[Any]], num_docs: int, docs: NDArray[np.uint16]) -> int:
    """Fill `docs` with the doc_ids (low halves) of packed lists; number of the first whose directory they belie, or -1."""
    struct = _TermTables(num_docs=num_docs, **{name: _address(array) for name, array in arrays.items()})
    num_terms = len(arrays["start"]) - 1
    found = ctypes.c_uint32(0)
    _unpack_lists(ctypes.byref(struct), num_terms, _address(docs), ctypes.byref(found))
    return -1 if found.value == num_terms else found.value


def place_lists(arrays: dict[str, NDArray[Any]], renumber: Renumbering, keys: NDArray[np.uint64]) -> None:
    """Append a source's postings to the key lists; `arrays` as for `first_bad_list`."""
    struct = _TermTables(**{name: _address(array) for name, array in arrays.items()})
    _place_lists(
        ctypes.byref(struct),
        _address(renumber.doc_ids),
        _address(renumber.slots),
        len(renumber.slots),
        renumber.payload_base,
        _address(renumber.cursor),
        _address(keys),
    )


def finish_lists(
    lists: KeyLists, out: InvertedArrays, start: NDArray[np.uint64], window_begin: NDArray[np.uint64]
) -> int:
    """Sort key lists and write them out with their windows; the number of weights clipped."""
    struct = _KeyLists(
        keys=_address(lists.keys),
        begin=_address(lists.begin),
        end=_address(lists.end),
        impacts=_address(lists.impacts),
        weights=_address(lists.weights),
        scale=lists.scale,
        num_terms=len(lists.begin),
        num_docs=lists.num_docs,
    )
    longest = int((lists.end - lists.begin).max(initial=0))
    scratch = np.empty(longest, np.uint64)
    inverted = _Inverted(*(_address(getattr(out, name)) for name in InvertedArrays.__slots__))
    _finish_lists(
        ctypes.byref(struct), _address(scratch), ctypes.byref(inverted), _address(start), _address(window_begin)
    )
    return int(struct.clipped)


def hash_names(blob: NDArray[np.uint8], offsets: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """FNV-1a of each name."""
    out = np.empty(len(offsets) - 1, np.uint64)
    _hash_names(_address(blob), _address(offsets), len(out), _address(out))
    return out
