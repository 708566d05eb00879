"""The dense head: which terms it takes, and their impacts as a byte matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.native.queries import QueryBatch
from sparseir.search.gpu.postings import SegmentPostings

HEAD_QUERIES = 8
"""Queries a tensor-core tile takes (SIR_HEAD_QUERIES); planes are padded to a multiple of it."""

HEAD_STEP = 32
"""Terms a tensor-core tile takes; the head has a multiple of it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenseHead:
    """Impacts of the most frequent terms by document.

    Parameters
    ----------
    column : int32 (T,): each term row's column, -1 outside the head.
    matrix : uint8 (documents padded to whole windows, terms), 0 where a document lacks the term.
    """

    column: NDArray[np.int32]
    matrix: NDArray[np.uint8]

    @property
    def num_terms(self) -> int:
        return self.matrix.shape[1]

    def planes(self, rows: QueryBatch) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(low bytes, high bytes) of the weights of head terms, (queries padded to 8, terms)."""
        weights = np.zeros((-(-len(rows) // HEAD_QUERIES) * HEAD_QUERIES, self.num_terms), np.int32)
        inside = self.column[rows.ids] >= 0
        query = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
        weights[query[inside], self.column[rows.ids[inside]]] = rows.weights[inside]
        return (weights & 255).astype(np.uint8), (weights >> 8).astype(np.uint8)

    def tail(self, rows: QueryBatch) -> QueryBatch:
        """The query terms outside the head."""
        outside = self.column[rows.ids] < 0
        kept = np.concatenate([[0], np.cumsum(outside)])
        return QueryBatch(
            indptr=kept[rows.indptr].astype(np.int64), ids=rows.ids[outside], weights=rows.weights[outside]
        )


def split_head(postings: SegmentPostings, num_terms: int, window_docs: int) -> tuple[DenseHead, SegmentPostings]:
    """The `num_terms` most frequent terms (rounded up to a multiple of 32) as a matrix, and the lists of all others.

    Costs a byte a document and term, so a term pays for itself in memory from a third of the documents on; whether it pays
    in time is what bench/gpu/run.py measures.
    """
    num_terms = -(-num_terms // HEAD_STEP) * HEAD_STEP
    length = (postings.run_end - postings.run_start).astype(np.int64)
    df = np.bincount(postings.run_row, weights=length, minlength=len(postings.term_ids)).astype(np.int64)
    chosen = np.sort(np.argsort(-df, kind="stable")[:num_terms])
    column = np.full(len(postings.term_ids), -1, np.int32)
    column[chosen] = np.arange(len(chosen))
    matrix = np.zeros((-(-postings.num_docs // window_docs) * window_docs, num_terms), np.uint8)
    for run in np.flatnonzero(column[postings.run_row] >= 0):
        lists = slice(int(postings.run_start[run]), int(postings.run_end[run]))
        docs = postings.docs[lists].astype(np.int64) + int(postings.run_base[run])
        matrix[docs, column[postings.run_row[run]]] = postings.impacts[lists]
    return DenseHead(column=column, matrix=matrix), postings.only_rows(column < 0)
