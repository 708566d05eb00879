"""What a segment stores beside its postings: term records, position directories, ladders and block bounds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.format.layout import (
    NO_ROW,
    SPARSE,
    STANDARD,
    SUPERBLOCK_BLOCKS,
    TERM_RECORD,
    LayoutRules,
    bits_rows,
    bound_rows,
    cell_shifts,
    num_superblocks,
    packed_words,
)
from indexer.inversion.invert import Postings, run_parallel
from indexer.native import builder


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
        builder.describe_terms(arrays, num_docs, span, scratch)

    run_parallel(work, term_spans(postings.start, num_threads))
    record["list_max"] = list_max
    return tables


def term_spans(start: NDArray[np.uint64], num_threads: int) -> list[tuple[int, int]]:
    """Ranges of terms that hold about equal numbers of postings."""
    targets = [int(start[-1]) * i // num_threads for i in range(1, num_threads)]
    cuts = [0, *np.searchsorted(start, np.array(targets, np.uint64)).tolist(), len(start) - 1]
    return [(lo, hi) for lo, hi in itertools.pairwise(cuts) if lo < hi]
