"""What a device layout is built from: the posting lists of one segment, whoever holds them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDE_WINDOW = 65_536
"""Documents addressed by the 16 bits of a stored posting."""

LADDER_RANKS = tuple(2**i for i in range(15))
"""The ranks of the stored largest impacts: 1, 2, 4 … 16,384."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SegmentPostings:
    """Posting lists of one segment as runs of 65,536 documents.

    Run r holds postings run_start[r] .. run_end[r] of term row run_row[r]; posting p in it is document
    run_base[r] + docs[p]. Runs ascend by (row, base), documents ascend inside a run.

    Parameters
    ----------
    num_docs : documents of the segment.
    term_ids : uint32 (T,), ascending: the term of each row.
    docs, impacts : uint16 and uint8 (P,).
    run_row, run_base : uint32 (R,). run_start, run_end : uint64 (R,).
    list_max : uint8 (T,), largest impact of each list.
    ladder : uint8 (T, 16), the impacts at ranks 1, 2, 4 … 16,384 of each list; 0 where it is shorter.
    ordinals : uint32 (num_docs,) or None where the ordinal is the document's position; plus ordinal_base.
    deleted : uint32 doc_ids, or None.
    """

    num_docs: int
    term_ids: NDArray[np.uint32]
    docs: NDArray[np.uint16]
    impacts: NDArray[np.uint8]
    run_row: NDArray[np.uint32]
    run_base: NDArray[np.uint32]
    run_start: NDArray[np.uint64]
    run_end: NDArray[np.uint64]
    list_max: NDArray[np.uint8]
    ladder: NDArray[np.uint8]
    ordinals: NDArray[np.uint32] | None = None
    ordinal_base: int = 0
    deleted: NDArray[np.uint32] | None = None

    @property
    def num_postings(self) -> int:
        return int((self.run_end - self.run_start).sum())

    def only_rows(self, kept: NDArray[np.bool_]) -> SegmentPostings:
        """The lists of the rows flagged in `kept` (T,); row numbers stay, nothing is copied but the table of runs."""
        runs = kept[self.run_row]
        return replace(
            self,
            run_row=self.run_row[runs],
            run_base=self.run_base[runs],
            run_start=self.run_start[runs],
            run_end=self.run_end[runs],
        )

    @classmethod
    def from_rows(
        cls,
        indptr: NDArray[Any],
        term_ids: NDArray[Any],
        impacts: NDArray[Any],
        *,
        ordinals: NDArray[Any] | None = None,
        ordinal_base: int = 0,
        deleted: NDArray[Any] | None = None,
    ) -> SegmentPostings:
        """From impacts by document (compressed sparse rows), row i being document i. O(P log P); an index is read faster.

        Parameters
        ----------
        indptr : integers (documents + 1,). term_ids : integers (P,). impacts : 1..255 (P,).
        """
        num_docs = len(indptr) - 1
        terms = np.asarray(term_ids, np.uint32)
        starts = np.asarray(indptr, np.int64)
        doc_of = np.repeat(np.arange(num_docs, dtype=np.int64), starts[1:] - starts[:-1])
        order = np.argsort(terms, kind="stable")  # documents stay ascending inside a term
        doc_of, sorted_impacts = doc_of[order], np.asarray(impacts, np.uint8)[order]
        present, row, df = np.unique(terms[order], return_inverse=True, return_counts=True)
        run_of = row.astype(np.int64) * (num_docs // WIDE_WINDOW + 1) + doc_of // WIDE_WINDOW
        runs, start = np.unique(run_of, return_index=True)
        wide = num_docs // WIDE_WINDOW + 1
        list_max, ladder = _impact_tables(row, sorted_impacts, df)
        return cls(
            num_docs=num_docs,
            term_ids=present,
            docs=(doc_of % WIDE_WINDOW).astype(np.uint16),
            impacts=sorted_impacts,
            run_row=(runs // wide).astype(np.uint32),
            run_base=(runs % wide * WIDE_WINDOW).astype(np.uint32),
            run_start=start.astype(np.uint64),
            run_end=np.append(start[1:], len(doc_of))[: len(start)].astype(np.uint64),
            list_max=list_max,
            ladder=ladder,
            ordinals=None if ordinals is None else np.asarray(ordinals, np.uint32),
            ordinal_base=ordinal_base,
            deleted=None if deleted is None else np.asarray(deleted, np.uint32),
        )


def _impact_tables(
    row: NDArray[Any], impacts: NDArray[np.uint8], df: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """list_max (T,) and ladder (T, 16) of lists stored one after another."""
    falling = impacts[np.lexsort((-impacts.astype(np.int16), row))]
    ends = np.cumsum(df)
    ladder = np.zeros((len(df), 16), np.uint8)
    for column, rank in enumerate(LADDER_RANKS):
        long = np.flatnonzero(df >= rank)
        ladder[long, column] = falling[ends[long] - df[long] + rank - 1]
    return ladder[:, 0].copy(), ladder
