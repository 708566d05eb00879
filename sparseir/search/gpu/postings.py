"""What a device layout is built from: the posting lists of one segment, stored or in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.format.term_lists import TermLists
from indexer.inversion.invert import WINDOW, Postings, invert
from indexer.inversion.tables import describe


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
    def from_lists(
        cls, lists: Postings | TermLists, num_docs: int, list_max: NDArray[np.uint8], ladder: NDArray[np.uint8]
    ) -> SegmentPostings:
        """The lists of a whole segment as the index half holds them; docs and impacts stay as they are."""
        return cls(
            num_docs=num_docs,
            term_ids=lists.term_ids,
            docs=lists.docs,
            impacts=lists.impacts,
            run_row=np.repeat(
                np.arange(len(lists.term_ids), dtype=np.uint32), np.diff(lists.window_begin).astype(np.int64)
            ),
            run_base=lists.window.astype(np.uint32) * np.uint32(WINDOW),
            run_start=lists.window_first,
            run_end=np.append(lists.window_first, lists.start[-1:])[1:],
            list_max=list_max,
            ladder=ladder,
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
        """From impacts by document (compressed sparse rows), row i being document i.

        Parameters
        ----------
        indptr : integers (documents + 1,). term_ids : integers (P,), ascending in a row. impacts : 1..255 (P,).
        """
        ids = np.asarray(term_ids, np.uint32)
        num_terms = int(ids.max(initial=0)) + 1
        rows = SparseVectors.from_arrays(np.asarray(indptr, np.int64), ids, np.asarray(impacts, np.float32), num_terms)
        lists = invert(rows, 1.0)  # a scale of 1 leaves integers as they are
        tables = describe(lists, bounds=False)
        return replace(
            cls.from_lists(lists, len(rows), tables.trec["list_max"].copy(), tables.ladd),
            ordinals=None if ordinals is None else np.asarray(ordinals, np.uint32),
            ordinal_base=ordinal_base,
            deleted=None if deleted is None else np.asarray(deleted, np.uint32),
        )
