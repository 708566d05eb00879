"""Integer queries on their way to the device: rows instead of terms, safe thresholds, chunks that fit."""

from __future__ import annotations

import bisect
import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.format.layout import LADDER_RANKS
from indexer.native.library import SirError, check, library

ORDINAL_MASK = 0xFFFF_FFFF
"""The low half of a sort key holds the complement of the ordinal, so that larger keys are better hits."""

_FourWords = ctypes.c_uint64 * 4
_pointer = ctypes.c_void_p
library.sir_quantize_queries.restype = ctypes.c_int32
library.sir_quantize_queries.argtypes = (_pointer, _pointer, ctypes.c_uint64, _pointer, _pointer, _pointer)
library.sir_resolve_queries.restype = ctypes.c_uint64
library.sir_resolve_queries.argtypes = (_FourWords, _pointer, ctypes.c_uint64, _FourWords)
library.sir_initial_thresholds.restype = None
library.sir_initial_thresholds.argtypes = (_FourWords, _pointer, ctypes.c_uint32, _pointer)


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
        occurs = np.zeros(largest + 1, np.bool_)  # a table of the ids is quicker than sorting many of them
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
        kept = library.sir_resolve_queries(self._as_struct(), names.ctypes.data, len(names), rows._as_struct())
        return QueryBatch(indptr=rows.indptr, ids=rows.ids[:kept], weights=rows.weights[:kept])

    def _as_struct(self) -> ctypes.Array[ctypes.c_uint64]:
        """sir_query_rows of native/include/sparseir.h: four words."""
        return _FourWords(self.indptr.ctypes.data, self.ids.ctypes.data, self.weights.ctypes.data, len(self))

    def chunks(self, max_queries: int) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self), max_queries):
            yield start, min(start + max_queries, len(self))


def quantize_queries(vectors: SparseVectors) -> tuple[QueryBatch, NDArray[np.float64]]:
    """Integer query weights and the scale of each query, as every engine has them.

    weight = clip(floor(w / scale + 1/2), 1, limit), scale = max(w) / limit in float64; limit = 4,095, coarsened to
    floor((2^31 - 1) / (255 · terms)) where the sum of weight · 255 would reach 2^31. An empty query has scale 0.
    """
    indptr = np.ascontiguousarray(vectors.indptr, np.int64)
    given = np.ascontiguousarray(vectors.weights, np.float32)
    weights, scale = np.empty(len(given), np.int32), np.empty(len(indptr) - 1)
    error = SirError()
    arrays = (weights.ctypes.data, scale.ctypes.data, ctypes.addressof(error))
    check(library.sir_quantize_queries(indptr.ctypes.data, given.ctypes.data, len(scale), *arrays), error)
    return QueryBatch(indptr=indptr, ids=vectors.term_ids, weights=weights), scale


def initial_thresholds(rows: QueryBatch, ladder: NDArray[np.uint8], k: int, num_deleted: int) -> NDArray[np.int32]:
    """A score that at least k live documents of the segment reach, per query; at least 1.

    θ₀ = max_t q_t · ladder_t[rank], rank the first stored one ≥ k + deletions: of the documents at or above that impact
    at most `num_deleted` are gone, and every other query term only adds. Not to be used under a filter.
    """
    thresholds = np.ones(len(rows), np.int32)
    step = bisect.bisect_left(LADDER_RANKS, k + num_deleted)
    if step < len(LADDER_RANKS):
        table = np.ascontiguousarray(ladder)
        library.sir_initial_thresholds(rows._as_struct(), table.ctypes.data, step, thresholds.ctypes.data)
    return thresholds


def score_bounds(rows: QueryBatch, list_max: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Σ q_t · list_max_t per query: no document scores more."""
    products = rows.weights.astype(np.int64) * list_max[rows.ids]
    total = np.concatenate([[0], np.cumsum(products)])
    return total[rows.indptr[1:]] - total[rows.indptr[:-1]]


def bin_shifts(bounds: NDArray[np.int64], bins: int) -> NDArray[np.int32]:
    """How far to shift the scores of each query to the right so that none reaches `bins`, a power of two."""
    bits = np.frexp(bounds.astype(np.float64))[1]  # bit lengths: bounds are below 2^31
    return np.maximum(bits - (bins.bit_length() - 1), 0)


def pack_bits(flags: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Bit d mod 32 of word d div 32 is flag d."""
    padded = np.zeros(-(-len(flags) // 32) * 32, np.bool_)
    padded[: len(flags)] = flags
    return np.packbits(padded, bitorder="little").view("<u4").astype(np.uint32)


def decode_keys(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(ordinals relative to the segment, scores) of sort keys; key 0 is padding: (-1, 0)."""
    scores = (keys >> np.uint64(32)).astype(np.int64)
    ordinals = (~keys & np.uint64(ORDINAL_MASK)).astype(np.int64)
    ordinals[scores == 0] = -1
    return ordinals, scores
