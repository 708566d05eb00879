"""The forward index: each document's term rows and impacts together, for kernels that cannot scatter into shared memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.inversion.invert import WINDOW
from sparseir.search.gpu.postings import SegmentPostings


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ForwardIndex:
    """Compressed sparse rows of one segment.

    Parameters
    ----------
    start : int64 (N + 1,). row : uint16 (P,) where the segment has at most 65,536 terms, else int32; ascending in a document.
    impact : uint8 (P,).
    """

    start: NDArray[np.int64]
    row: NDArray[Any]
    impact: NDArray[np.uint8]


def build_forward_index(postings: SegmentPostings) -> ForwardIndex:
    """Transpose posting lists, 65,536 documents at a time: a stable sort of 16-bit numbers is a radix sort."""
    narrow = len(postings.term_ids) <= 1 << 16
    row: NDArray[Any] = np.empty(postings.num_postings, np.uint16 if narrow else np.int32)
    impact = np.empty(postings.num_postings, np.uint8)
    lengths = np.zeros(postings.num_docs, np.int64)
    run_start, run_end = postings.run_start.astype(np.int64), postings.run_end.astype(np.int64)
    by_window = np.argsort(postings.run_base, kind="stable")
    bases = postings.run_base[by_window]
    borders = np.append(np.flatnonzero(np.diff(bases, prepend=-1)), len(bases)) if len(bases) else np.zeros(1, np.int64)
    filled = 0
    for lo, hi in itertools.pairwise(borders):
        runs = by_window[lo:hi]
        counts = run_end[runs] - run_start[runs]
        ends = np.cumsum(counts)
        at = np.arange(int(ends[-1])) + np.repeat(run_start[runs] - (ends - counts), counts)
        docs = postings.docs[at]
        order = np.argsort(docs, kind="stable")  # rows stay ascending inside a document
        part = slice(filled, filled + len(at))
        row[part] = np.repeat(postings.run_row[runs], counts)[order]
        impact[part] = postings.impacts[at][order]
        base = int(bases[lo])
        counted = np.bincount(docs, minlength=min(WINDOW, postings.num_docs - base))
        lengths[base : base + len(counted)] = counted
        filled += len(at)
    return ForwardIndex(start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), row=row, impact=impact)
