"""Inversion: rows of documents to posting lists, quantised on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.native import builder
from indexer.native.builder import SLOT, InvertedArrays, Rows
from indexer.vectors import SparseVectors

WINDOW = 1 << 16
"""Documents of a window: as many as 16 bits can tell apart."""

TABLE_TERMS = 1 << 22
"""Vocabularies up to this size are counted in a table of their length (64 MB); above, terms are numbered first."""

MAX_IMPACT = 255
"""The largest impact; the smallest is 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Posting lists of one segment, by ascending term id and doc_id.

    Parameters
    ----------
    num_docs : documents of the segment.
    term_ids : uint32 (T,), ascending.
    start : uint64 (T + 1,), first posting of each term.
    docs : uint16 (P,), doc_id mod 65,536.
    impacts : uint8 (P,), 1..255.
    weights : float32 (P,) or None.
    window_begin : uint64 (T + 1,), each term's range in the two arrays below.
    window : uint16, windows that hold a posting of the term, ascending.
    window_first : uint64, first posting of the term in that window.
    num_clipped : weights whose impact was cut to 255.
    """

    num_docs: int
    term_ids: NDArray[np.uint32]
    start: NDArray[np.uint64]
    docs: NDArray[np.uint16]
    impacts: NDArray[np.uint8]
    weights: NDArray[np.float32] | None
    window_begin: NDArray[np.uint64]
    window: NDArray[np.uint16]
    window_first: NDArray[np.uint64]
    num_clipped: int

    @property
    def df(self) -> NDArray[np.uint64]:
        """Length of each posting list."""
        return np.diff(self.start)


def number_slots(vectors: SparseVectors) -> tuple[NDArray[np.uint32], NDArray[np.uint32] | None, int]:
    """(slot of each entry, term id of each slot or None where they are equal, number of slots)."""
    if vectors.num_terms <= TABLE_TERMS:
        return vectors.term_ids, None, vectors.num_terms
    chunk = 1 << 23  # entries sorted at a time
    present = np.zeros(0, np.uint32)
    for begin in range(0, len(vectors.term_ids), chunk):
        present = np.union1d(present, vectors.term_ids[begin : begin + chunk])
    slots = np.empty(len(vectors.term_ids), np.uint32)
    for begin in range(0, len(slots), chunk):
        slots[begin : begin + chunk] = np.searchsorted(present, vectors.term_ids[begin : begin + chunk])
    return slots, present, len(present)


def _spans(num_docs: int, num_threads: int) -> list[tuple[int, int]]:
    """Whole windows for each thread: a directory entry then belongs to one thread alone."""
    windows = -(-num_docs // WINDOW)
    cuts = [round(windows * i / num_threads) * WINDOW for i in range(num_threads)] + [num_docs]
    return [(lo, min(hi, num_docs)) for lo, hi in itertools.pairwise(cuts) if lo < hi]


def run_parallel(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    """`work` of each item, one thread an item; the C calls inside release the interpreter's lock."""
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(work, items))


def invert(
    vectors: SparseVectors,
    scale: float,
    *,
    order: NDArray[np.uint32] | None = None,
    keep_weights: bool = False,
    num_threads: int = 1,
) -> Postings:
    """Posting lists of checked rows.

    Parameters
    ----------
    vectors : rows, sorted by term.
    scale : doc_scale of the impacts.
    order : uint32 (rows,), the row of each doc_id; None keeps the input order.
    keep_weights : carry the float weights along.
    num_threads : threads; each takes whole windows of documents.
    """
    num_docs = len(vectors)
    entries, present, num_slots = number_slots(vectors)
    rows = Rows(vectors.indptr, entries, vectors.weights, order)
    spans = _spans(num_docs, num_threads) or [(0, 0)]
    counts = np.zeros((len(spans), num_slots), SLOT)
    counts["last_window"] = 0xFFFFFFFF
    run_parallel(lambda i: builder.count_postings(rows, spans[i][0], spans[i][1], counts[i]), list(range(len(spans))))

    df, windows = counts["cursor"].sum(axis=0), counts["directory"].astype(np.uint64).sum(axis=0)
    start = np.concatenate([[0], np.cumsum(df)]).astype(np.uint64)
    window_begin = np.concatenate([[0], np.cumsum(windows)]).astype(np.uint64)
    if int(window_begin[-1]) >= 2**32:
        raise MemoryError("more than 2**32 (term, window) pairs in one segment; build it in several batches")
    # Each thread's cursors start after the postings of the threads before it.
    for name, base in (("cursor", start), ("directory", window_begin)):
        before = np.cumsum(counts[name], axis=0, dtype=np.uint64) - counts[name]
        counts[name] = base[:-1] + before
    counts["last_window"] = 0xFFFFFFFF

    nnz = int(start[-1])
    out = InvertedArrays(
        np.empty(nnz, np.uint16),
        np.empty(nnz, np.uint8),
        np.empty(nnz, np.float32) if keep_weights else None,
        np.empty(int(window_begin[-1]), np.uint16),
        np.empty(int(window_begin[-1]), np.uint64),
    )
    clipped = run_parallel(
        lambda i: builder.scatter_postings(rows, spans[i], scale, counts[i], out), list(range(len(spans)))
    )
    kept = np.flatnonzero(df)
    ends = np.append(kept, num_slots)
    return Postings(
        num_docs,
        (kept if present is None else present[kept]).astype(np.uint32),
        start[ends],
        out.docs,
        out.impacts,
        out.weights,
        window_begin[ends],
        out.window,
        out.window_first,
        sum(clipped),
    )
