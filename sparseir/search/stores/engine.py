"""The engine over a collection, and its filters: Milvus adds the same integers as the engines here."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.native.queries import quantize_queries
from sparseir.errors import ConfigError
from sparseir.search.engines import Allowed, Bitmaps, Engine
from sparseir.search.filters.filters import Filter
from sparseir.search.filters.views import PreparedFilter
from sparseir.search.remote.filters import RemoteFilters
from sparseir.search.results import Ranking
from sparseir.search.stores.filters import condition_of
from sparseir.search.stores.index import StoreIndex

_ROWS, _DEEPEST = 100, 16_384


class StoreEngine(Engine):
    """Impacts and 12-bit query weights, added as float32: exact for scores below 2²⁴. Order within a list is by ordinal
    where scores are equal; which of equal documents are the last ones of a list is Milvus's choice.

    Raises
    ------
    ConfigError : an engine other than auto.
    """

    name = "milvus"

    def __init__(self, index: StoreIndex, engine: object) -> None:
        if engine != "auto":
            raise ConfigError(f"engine {engine!r} does not search a collection of Milvus; leave it at auto")
        self._index = index

    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed) -> Ranking:
        ordinals = np.full((len(vectors), k), -1, np.int64)
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        quantised, scales = quantize_queries(vectors)
        shown = [part for part in (self._index.visible, cast("str | None", allowed)) if part]
        condition = " and ".join(f"({part})" for part in shown)
        queries = []
        for row in range(len(vectors)):
            here = slice(int(quantised.indptr[row]), int(quantised.indptr[row + 1]))
            pairs = zip(quantised.ids[here].tolist(), quantised.weights[here].tolist(), strict=True)
            queries.append((row, {int(term): float(weight) for term, weight in pairs if weight}))
        queries = [(row, query) for row, query in queries if query]  # Milvus refuses empty ones
        for begin in range(0, len(queries), _ROWS):
            part = queries[begin : begin + _ROWS]
            lists = self._index.client.search([query for _, query in part], min(k, _DEEPEST), condition)
            for (row, _), hits in zip(part, lists, strict=True):
                best = sorted((-round(score), ordinal) for ordinal, score in hits if score > 0)
                ordinals[row, : len(best)] = [ordinal for _, ordinal in best]
                integers = -np.array([score for score, _ in best], np.float64)
                scores[row, : len(best)] = (integers * self._index.doc_scale * scales[row]).astype(np.float32)
        return Ranking(ordinals, scores)

    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        """Of one document, given by its ordinal in the place of bitmaps."""
        return self._index.impacts(term_ids, np.array(document, np.int64))[:, 0]


class StoreFilters(RemoteFilters):
    """Filters as conditions of Milvus in the place of bitmaps."""

    def __init__(self, index: StoreIndex) -> None:
        super().__init__(index)  # type: ignore[arg-type]  # it reads names of documents alone
        self._collection = index

    def _prepared(self, filter: Filter) -> PreparedFilter:
        prepared = super()._prepared(filter)
        given: object = prepared.bitmaps
        if isinstance(given, list):
            return PreparedFilter(prepared.index, cast(Bitmaps, f"id in {given}"))
        if filter is prepared:
            return prepared
        return PreparedFilter(prepared.index, cast(Bitmaps, condition_of(self._collection.meta, str(given))))
