"""What a segment stores beside its postings: term records, position directories, ladders and block bounds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import native_build
from indexer.invert import Postings, run_parallel

BLOCK_SHIFT = 5
SUPERBLOCK_BLOCKS = 64
NO_ROW = 0xFFFFFFFF
LADDER_RANKS = tuple(2**i for i in range(15))
"""The ranks whose impacts LADD holds: 1, 2, 4 … 16,384."""
SPARSE = 255
"""cell_shift of a term whose directory lists windows."""

TERM_RECORD = np.dtype(
    [
        ("postings_start", "<u8"),
        ("df", "<u4"),
        ("directory_start", "<u4"),
        ("bound_row", "<u4"),
        ("num_windows", "<u4"),
        ("cell_shift", "u1"),
        ("list_max", "u1"),
        ("reserved", "u1", (2,)),
        ("bits_row", "<u4"),
    ]
)
"""One entry of TREC, 32 bytes."""

SUPERBLOCK_DOCS = SUPERBLOCK_BLOCKS << BLOCK_SHIFT
"""A segment no larger than one superblock needs neither bounds nor bitmaps."""

BUCKET_SHIFT = 8
"""Packed doc_ids keep their lowest byte, and how many stand in each bucket of 256 documents."""

_SPARSE_BELOW = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutRules:
    """Where the layouts of a segment differ; docs/index-format.md.

    Parameters
    ----------
    flags : of the segment's header.
    smallest_cell : log2 of the documents of a cell, at least.
    mean_cell : postings of a cell, on average at most.
    bits_over : a term has a bitmap when df > N / bits_over.
    bounds_over : a term has a bound row when df > N / bounds_over.
    """

    flags: int
    smallest_cell: int
    mean_cell: int
    bits_over: int
    bounds_over: int = 192

    @property
    def packed(self) -> bool:
        """Whether doc_ids are packed."""
        return bool(self.flags & _FLAG_PACKED)

    @property
    def has_blocks(self) -> bool:
        """Whether blocks have maxima."""
        return not self.flags & _FLAG_NO_BLOCKS


_FLAG_PACKED, _FLAG_NO_BLOCKS = 1, 2
STANDARD = LayoutRules(flags=0, smallest_cell=BLOCK_SHIFT, mean_cell=32, bits_over=32)
COMPACT = LayoutRules(flags=_FLAG_PACKED | _FLAG_NO_BLOCKS, smallest_cell=BUCKET_SHIFT, mean_cell=128, bits_over=16)
PACKED = LayoutRules(flags=_FLAG_PACKED, smallest_cell=BUCKET_SHIFT, mean_cell=128, bits_over=16, bounds_over=176)
LAYOUT_RULES = {"standard": STANDARD, "packed": PACKED, "compact": COMPACT}
"""By the names of IndexConfig.layout."""
RULES_OF_FLAGS = {rules.flags: rules for rules in LAYOUT_RULES.values()}
"""By the flags of a segment's header; others are refused."""


@dataclass(frozen=True, slots=True, eq=False)
class TermTables:
    """Sections derived from posting lists, by the names of docs/index-format.md; doco and docb are empty, or bmax and blev."""

    trec: NDArray[Any]
    cell: NDArray[np.uint32]
    wnid: NDArray[np.uint16]
    wnst: NDArray[np.uint32]
    ladd: NDArray[np.uint8]
    bmax: NDArray[np.uint8]
    blev: NDArray[np.uint8]
    smax: NDArray[np.uint8]
    bits: NDArray[np.uint64]
    doco: NDArray[np.uint64]
    docb: NDArray[np.uint64]


def num_blocks(num_docs: int) -> int:
    return -(-num_docs >> BLOCK_SHIFT)


def num_superblocks(num_docs: int) -> int:
    return -(-num_blocks(num_docs) // SUPERBLOCK_BLOCKS)


def cell_shifts(df: NDArray[np.uint64], num_docs: int, rules: LayoutRules = STANDARD) -> NDArray[np.uint8]:
    """cell_shift of each term: SPARSE below 16 postings a window, else the largest up to 16 with no more than the mean."""
    windows = -(-num_docs >> 16)
    shifts = np.full(len(df), rules.smallest_cell, np.uint8)
    for shift in range(rules.smallest_cell + 1, 17):
        cells = -(-num_docs >> shift)
        shifts[df <= np.uint64(rules.mean_cell * cells)] = shift
    shifts[df < np.uint64(_SPARSE_BELOW * windows)] = SPARSE
    return shifts


def bound_rows(df: NDArray[np.uint64], num_docs: int, rules: LayoutRules = STANDARD) -> NDArray[np.uint32]:
    """Row of each term in the bounds, NO_ROW for the terms too rare to be worth one."""
    return _numbered((df > np.uint64(num_docs // rules.bounds_over)) & (num_docs > SUPERBLOCK_DOCS))


def bits_rows(
    df: NDArray[np.uint64], shifts: NDArray[np.uint8], num_docs: int, rules: LayoutRules = STANDARD
) -> NDArray[np.uint32]:
    """Row of each term in the bitmaps, NO_ROW for all but the most frequent."""
    frequent = (df > np.uint64(num_docs // rules.bits_over)) & (num_docs > SUPERBLOCK_DOCS)
    return _numbered(frequent & (shifts != SPARSE))


def packed_words(
    df: NDArray[np.uint64], shifts: NDArray[np.uint8], bits: NDArray[np.uint32], num_docs: int
) -> NDArray[np.uint64]:
    """uint64: words of DOCB each term takes where doc_ids are packed."""
    buckets = np.uint64(-(-num_docs >> BUCKET_SHIFT))
    heights = (df + buckets + np.uint64(63)) // np.uint64(64)
    words = heights + (df + np.uint64(7)) // np.uint64(8)
    words[bits != NO_ROW] = 0
    rare = shifts == SPARSE
    words[rare] = (df[rare] + np.uint64(3)) // np.uint64(4)
    return words


def _numbered(has: NDArray[np.bool_]) -> NDArray[np.uint32]:
    return np.where(has, np.cumsum(has) - 1, NO_ROW).astype(np.uint32)


def _sparse_directories(
    postings: Postings, sparse: NDArray[np.bool_]
) -> tuple[NDArray[np.uint16], NDArray[np.uint32], NDArray[np.uint64]]:
    """(WNID, WNST, first entry of each term) of the terms that keep their windows."""
    counts = np.diff(postings.window_begin)
    keep = np.repeat(sparse, counts.astype(np.int64))
    first = postings.window_first[keep] - np.repeat(postings.start[:-1][sparse], counts[sparse].astype(np.int64))
    begin = np.concatenate([[0], np.cumsum(np.where(sparse, counts, 0))]).astype(np.uint64)[:-1]
    return postings.window[keep], first.astype(np.uint32), begin


def describe(
    postings: Postings, num_threads: int = 1, *, bounds: bool = True, rules: LayoutRules = STANDARD
) -> TermTables:
    """All tables of a segment. Cost: two passes over the postings.

    Parameters
    ----------
    postings : finished posting lists.
    num_threads : threads; each takes a share of the terms with about equal postings.
    bounds : make rows of bounds and bitmaps; a run that will be merged needs none.
    rules : of the segment's layout.
    """
    df, num_docs = postings.df, postings.num_docs
    shifts, rows = cell_shifts(df, num_docs, rules), bound_rows(df, num_docs, rules)
    bits = bits_rows(df, shifts, num_docs, rules)
    if not bounds:
        rows[:] = bits[:] = NO_ROW
    sparse = shifts == SPARSE
    cells = np.where(sparse, 0, -(-num_docs >> shifts.astype(np.int64) % 64) + 1).astype(np.uint64)
    cell_begin = np.concatenate([[0], np.cumsum(cells)]).astype(np.uint64)
    wnid, wnst, window_start = _sparse_directories(postings, sparse)
    num_rows, width = int(np.count_nonzero(rows != NO_ROW)), num_superblocks(num_docs)
    words = packed_words(df, shifts, bits, num_docs) if rules.packed else np.zeros(0, np.uint64)
    block_rows = num_rows if rules.has_blocks else 0

    record = np.zeros(len(df), TERM_RECORD)
    record["postings_start"], record["df"] = postings.start[:-1], df
    record["directory_start"] = np.where(sparse, window_start, cell_begin[:-1])
    record["bound_row"], record["bits_row"], record["cell_shift"] = rows, bits, shifts
    record["num_windows"] = np.where(sparse, np.diff(postings.window_begin), 0)
    tables = TermTables(
        record,
        np.empty(int(cell_begin[-1]), np.uint32),
        wnid,
        wnst,
        np.empty((len(df), 16), np.uint8),
        np.empty((block_rows, width, 32), np.uint8),
        np.empty((block_rows, 16), np.uint8),
        np.empty((num_rows, width), np.uint8),
        np.empty((int(np.count_nonzero(bits != NO_ROW)), -(-num_docs // 64)), np.uint64),
        np.cumsum(words) - words,
        np.empty(int(words.sum()), np.uint64),
    )
    list_max = np.empty(len(df), np.uint8)
    arrays: dict[str, NDArray[Any] | None] = {
        "docs": postings.docs,
        "impacts": postings.impacts,
        "start": postings.start,
        "window_begin": postings.window_begin,
        "window": postings.window,
        "window_first": postings.window_first,
        "cell_shift": shifts,
        "cell_begin": cell_begin,
        "bound_row": rows,
        "bits_row": bits,
        "cells": tables.cell,
        "list_max": list_max,
        "ladder": tables.ladd,
        "block_levels": tables.bmax if rules.has_blocks else None,
        "levels": tables.blev,
        "superblock_max": tables.smax,
        "bits": tables.bits,
        "doc_begin": tables.doco,
        "doc_words": tables.docb if rules.packed else None,
    }

    def work(span: tuple[int, int]) -> None:
        scratch = np.empty(width * SUPERBLOCK_BLOCKS, np.uint8)
        native_build.describe_terms(arrays, num_docs, span, scratch)

    run_parallel(work, term_spans(postings.start, num_threads))
    record["list_max"] = list_max
    return tables


def term_spans(start: NDArray[np.uint64], num_threads: int) -> list[tuple[int, int]]:
    """Ranges of terms that hold about equal numbers of postings."""
    targets = [int(start[-1]) * i // num_threads for i in range(1, num_threads)]
    cuts = [0, *np.searchsorted(start, np.array(targets, np.uint64)).tolist(), len(start) - 1]
    return [(lo, hi) for lo, hi in itertools.pairwise(cuts) if lo < hi]
