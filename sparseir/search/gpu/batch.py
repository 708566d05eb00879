"""Integer queries on their way to the device: rows instead of terms, safe thresholds, chunks that fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.tables import LADDER_RANKS

MAX_QUERY_WEIGHT = 4095
MAX_IMPACT = 255
ORDINAL_MASK = 0xFFFF_FFFF
"""The low half of a sort key holds the complement of the ordinal, so that larger keys are better hits."""


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
        largest = int(self.ids.max(initial=0))
        if largest > 32 * len(self.ids):
            ids, at = np.unique(self.ids, return_inverse=True)
            return ids, at.astype(np.int64)
        occurs = np.zeros(largest + 1, np.bool_)  # a table of the ids is quicker than sorting many of them
        occurs[self.ids] = True
        return np.flatnonzero(occurs).astype(np.uint32), (np.cumsum(occurs) - 1)[self.ids]

    def resolve(self, term_ids: NDArray[np.uint32]) -> QueryBatch:
        """Term rows of a segment in place of term ids; terms the segment does not have are left out."""
        if len(term_ids) == 0 or len(self.ids) == 0:
            return QueryBatch(indptr=np.zeros_like(self.indptr), ids=self.ids[:0], weights=self.weights[:0])
        distinct, at = self.distinct()
        row = np.searchsorted(term_ids, distinct)
        inside = (term_ids[np.minimum(row, len(term_ids) - 1)] == distinct)[at]
        row = row[at]
        kept = np.concatenate([[0], np.cumsum(inside)])
        return QueryBatch(
            indptr=kept[self.indptr].astype(np.int64),
            ids=row[inside].astype(np.uint32),
            weights=np.ascontiguousarray(self.weights[inside]),
        )

    def chunks(self, max_queries: int) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self), max_queries):
            yield start, min(start + max_queries, len(self))


def quantize_queries(vectors: SparseVectors) -> tuple[QueryBatch, NDArray[np.float64]]:
    """Integer query weights and the scale of each query, as every engine has them.

    weight = clip(floor(w / scale + 1/2), 1, limit), scale = max(w) / limit in float64; limit = 4,095, coarsened to
    floor((2^31 - 1) / (255 · terms)) where the sum of weight · 255 would reach 2^31. An empty query has scale 0.
    """
    indptr = np.asarray(vectors.indptr, np.int64)
    lengths = indptr[1:] - indptr[:-1]
    weights = vectors.weights.astype(np.float64)
    largest = np.zeros(len(lengths))
    filled = np.flatnonzero(lengths)
    if len(filled):
        largest[filled] = np.maximum.reduceat(weights, indptr[filled])
    limit = np.full(len(lengths), MAX_QUERY_WEIGHT, np.int64)
    integers, scale = _round_to(weights, largest, limit, lengths)
    total = np.concatenate([[0], np.cumsum(integers)])
    over = (total[indptr[1:]] - total[indptr[:-1]]) * MAX_IMPACT >= 2**31
    if over.any():
        limit[over] = (2**31 - 1) // (MAX_IMPACT * lengths[over])
        integers, scale = _round_to(weights, largest, limit, lengths)
    return QueryBatch(indptr=indptr, ids=vectors.term_ids, weights=integers.astype(np.int32)), scale


def _round_to(
    weights: NDArray[np.float64], largest: NDArray[np.float64], limit: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    scale = largest / limit
    levels = np.floor(weights / np.repeat(scale, lengths) + 0.5)
    return np.clip(levels, 1, np.repeat(limit, lengths)).astype(np.int64), scale


def _per_query_max(values: NDArray[np.int64], indptr: NDArray[np.int64]) -> NDArray[np.int64]:
    """Largest value of each row; 0 for an empty one."""
    out = np.zeros(len(indptr) - 1, np.int64)
    filled = np.flatnonzero(np.diff(indptr))
    if len(filled):
        out[filled] = np.maximum.reduceat(values, indptr[filled])
    return out


def initial_thresholds(rows: QueryBatch, ladder: NDArray[np.uint8], k: int, num_deleted: int) -> NDArray[np.int32]:
    """A score that at least k live documents of the segment reach, per query; at least 1.

    θ₀ = max_t q_t · ladder_t[rank], rank the first stored one ≥ k + deletions: of the documents at or above that impact
    at most `num_deleted` are gone, and every other query term only adds. Not to be used under a filter.
    """
    thresholds = np.ones(len(rows), np.int64)
    column = int(np.searchsorted(LADDER_RANKS, k + num_deleted))
    if column < len(LADDER_RANKS) and len(rows.ids):
        products = rows.weights.astype(np.int64) * ladder[rows.ids, column]
        thresholds = np.maximum(thresholds, _per_query_max(products, rows.indptr))
    return thresholds.astype(np.int32)


def score_bounds(rows: QueryBatch, list_max: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Σ q_t · list_max_t per query: no document scores more."""
    products = rows.weights.astype(np.int64) * list_max[rows.ids]
    total = np.concatenate([[0], np.cumsum(products)])
    return total[rows.indptr[1:]] - total[rows.indptr[:-1]]


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
