"""Queries with integer weights: quantised as every engine has them, resolved to a segment's terms, safe thresholds."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.native.header import Error, QueryRows
from indexer.native.library import check, library

_LADDER_STEPS = 15
"""A ladder holds the impacts of rank 1, 2, 4 … 2^14."""


class FloatQueries(Protocol):
    """Rows of weighted terms, as SparseVectors has them."""

    @property
    def indptr(self) -> NDArray[np.int64]: ...

    @property
    def term_ids(self) -> NDArray[np.uint32]: ...

    @property
    def weights(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class QueryBatch:
    """Queries with integer weights.

    Parameters
    ----------
    indptr : int64 (Q + 1,). ids : uint32 (nnz,): term ids, or term rows once resolved against a segment.
    weights : int32 (nnz,), 1..4095 (engine arithmetic: the sum of weight · 255 over a query stays below 2^31).
    """

    indptr: NDArray[np.int64]
    ids: NDArray[np.uint32]
    weights: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def slice(self, start: int, stop: int) -> QueryBatch:
        lo, hi = int(self.indptr[start]), int(self.indptr[stop])
        return QueryBatch(indptr=self.indptr[start : stop + 1] - lo, ids=self.ids[lo:hi], weights=self.weights[lo:hi])

    def take(self, queries: NDArray[np.int64]) -> QueryBatch:
        """The given queries, in the given order."""
        lengths = np.diff(self.indptr)[queries]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        at = np.arange(indptr[-1]) + np.repeat(self.indptr[queries] - indptr[:-1], lengths)
        return QueryBatch(indptr=indptr, ids=self.ids[at], weights=self.weights[at])

    def distinct(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """(ids that occur, ascending; the place among them of each of `ids`)."""
        if len(self) == 1:  # a query names a term once
            return self.ids, np.arange(len(self.ids))
        largest = int(self.ids.max(initial=0))
        if largest > 32 * len(self.ids):
            ids, at = np.unique(self.ids, return_inverse=True)
            return ids, at.astype(np.int64)
        occurs = np.zeros(largest + 1, np.bool_)  # for many ids a table is quicker than sorting
        occurs[self.ids] = True
        return np.flatnonzero(occurs).astype(np.uint32), (np.cumsum(occurs) - 1)[self.ids]

    def resolve(self, term_ids: NDArray[np.uint32]) -> QueryBatch:
        """Term rows of a segment in place of term ids; terms the segment does not have are left out."""
        names = np.ascontiguousarray(term_ids, np.uint32)
        rows = QueryBatch(
            indptr=np.empty(len(self) + 1, np.int64),
            ids=np.empty(len(self.ids), np.uint32),
            weights=np.empty(len(self.ids), np.int32),
        )
        given, found = self._as_struct(), rows._as_struct()
        kept = library.sir_resolve_queries(ctypes.byref(given), names.ctypes.data, len(names), ctypes.byref(found))
        return QueryBatch(indptr=rows.indptr, ids=rows.ids[:kept], weights=rows.weights[:kept])

    def _as_struct(self) -> QueryRows:
        return QueryRows(self.indptr.ctypes.data, self.ids.ctypes.data, self.weights.ctypes.data, len(self))

    def chunks(self, max_queries: int) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self), max_queries):
            yield start, min(start + max_queries, len(self))


def quantize_queries(vectors: FloatQueries) -> tuple[QueryBatch, NDArray[np.float64]]:
    """Integer query weights and the scale of each query, as every engine has them.

    weight = clip(floor(w / scale + 1/2), 1, limit), scale = max(w) / limit in float64; limit = 4,095, coarsened to
    floor((2^31 - 1) / (255 · terms)) where the sum of weight · 255 would reach 2^31. An empty query has scale 0.

    Raises
    ------
    NativeError : a query of more than 2^31 / 255 terms.
    """
    indptr = np.ascontiguousarray(vectors.indptr, np.int64)
    given = np.ascontiguousarray(vectors.weights, np.float32)
    weights, scale = np.empty(len(given), np.int32), np.empty(len(indptr) - 1)
    error = Error()
    inputs, outputs = (indptr.ctypes.data, given.ctypes.data, len(scale)), (weights.ctypes.data, scale.ctypes.data)
    check(library.sir_quantize_queries(*inputs, *outputs, ctypes.byref(error)), error)
    return QueryBatch(indptr=indptr, ids=vectors.term_ids, weights=weights), scale


def initial_thresholds(rows: QueryBatch, ladder: NDArray[np.uint8], k: int, num_deleted: int) -> NDArray[np.int32]:
    """A score that at least k live documents of the segment reach, per query; at least 1.

    θ₀ = max_t q_t · ladder_t[rank], rank the first stored one ≥ k + deletions: of the documents at or above that impact
    at most `num_deleted` are gone, and every other query term only adds. Not to be used under a filter.
    """
    thresholds = np.ones(len(rows), np.int32)
    step = (k + num_deleted - 1).bit_length()
    if step < _LADDER_STEPS:
        table, struct = np.ascontiguousarray(ladder), rows._as_struct()
        library.sir_initial_thresholds(ctypes.byref(struct), table.ctypes.data, step, thresholds.ctypes.data)
    return thresholds
