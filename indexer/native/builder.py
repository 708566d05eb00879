"""Binding of the builder part of native/include/sparseir.h. Arrays are checked by the callers in this package."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.native import header
from indexer.native.library import library

DROPPED = 0xFFFFFFFF
"""New doc_id of a document that a merge leaves out."""

SLOT = np.dtype(header.Slot)
"""sir_slot, as an array holds it."""


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

    def _struct(self) -> header.Rows:
        return header.Rows(_address(self.indptr), _address(self.slots), _address(self.weights), _address(self.order))


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
    """Number of the first row that cannot be indexed unchanged, or -1."""
    found = ctypes.c_int64(-1)
    struct = rows._struct()
    library.sir_check_rows(ctypes.byref(struct), len(rows.indptr) - 1, num_terms, ctypes.byref(found))
    return found.value


def count_postings(rows: Rows, begin: int, end: int, slots: NDArray[Any]) -> None:
    """Add the postings and windows of documents begin..end to `slots`."""
    struct = rows._struct()
    library.sir_count_postings(ctypes.byref(struct), begin, end, _address(slots))


def scatter_postings(rows: Rows, span: tuple[int, int], scale: float, slots: NDArray[Any], out: InvertedArrays) -> int:
    """Write the postings of documents span[0]..span[1]; returns how many weights were clipped."""
    struct = rows._struct()
    inverted = header.Inverted(*(_address(getattr(out, name)) for name in InvertedArrays.__slots__))
    clipped = ctypes.c_uint64(0)
    bounds = (ctypes.c_uint32 * 2)(*span)
    library.sir_scatter_postings(
        ctypes.byref(struct), bounds, scale, _address(slots), ctypes.byref(inverted), ctypes.byref(clipped)
    )
    return clipped.value


def describe_terms(
    arrays: dict[str, NDArray[Any] | None], num_docs: int, span: tuple[int, int], scratch: NDArray[np.uint8]
) -> None:
    """Fill the tables of terms span[0]..span[1]; `arrays` holds every array of sir_term_tables by its name. Without
    doc_words the layout is the standard one."""
    struct = header.TermTables(num_docs=num_docs, **{name: _address(array) for name, array in arrays.items()})
    library.sir_describe_terms(ctypes.byref(struct), *span, _address(scratch))


def first_bad_list(arrays: dict[str, NDArray[Any]], num_docs: int) -> int:
    """Number of the first posting list that is not sound, or -1; `arrays` as for `describe_terms`, inputs only."""
    struct = header.TermTables(num_docs=num_docs, **{name: _address(array) for name, array in arrays.items()})
    num_terms = len(arrays["start"]) - 1
    found = ctypes.c_uint32(0)
    library.sir_check_postings(ctypes.byref(struct), num_terms, ctypes.byref(found))
    return -1 if found.value == num_terms else found.value


def unpack_lists(arrays: dict[str, NDArray[Any]], num_docs: int, docs: NDArray[np.uint16]) -> int:
    """Fill `docs` with the doc_ids (low halves) of packed lists; the first that contradicts its directory, or -1."""
    struct = header.TermTables(num_docs=num_docs, **{name: _address(array) for name, array in arrays.items()})
    num_terms = len(arrays["start"]) - 1
    found = ctypes.c_uint32(0)
    library.sir_unpack_lists(ctypes.byref(struct), num_terms, _address(docs), ctypes.byref(found))
    return -1 if found.value == num_terms else found.value


def place_lists(arrays: dict[str, NDArray[Any]], renumber: Renumbering, keys: NDArray[np.uint64]) -> None:
    """Append a source's postings to the key lists; `arrays` as for `first_bad_list`."""
    struct = header.TermTables(**{name: _address(array) for name, array in arrays.items()})
    library.sir_place_lists(
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
    struct = header.KeyLists(
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
    inverted = header.Inverted(*(_address(getattr(out, name)) for name in InvertedArrays.__slots__))
    library.sir_finish_lists(
        ctypes.byref(struct), _address(scratch), ctypes.byref(inverted), _address(start), _address(window_begin)
    )
    return int(struct.clipped)
