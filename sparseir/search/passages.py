"""Searching an index of passages: its documents are ranked, each by its best passage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.data.passages import document_of, windows_of
from sparseir.search.engines import Allowed, Bitmaps, Engine
from sparseir.search.results import Ranking

if TYPE_CHECKING:
    from sparseir.search.calibration.calibration import Calibration


class GroupingEngine(Engine):
    """The k best documents out of the ranking of passages that another engine finds.

    score(document) = max over its passages; ordinals are those of the best passages. As the passages of a document
    follow each other, ties by smaller ordinal are ties by order of the documents. The first k documents of a ranking of
    passages are the k best ones, so the ranking is deepened until it has them or ends: exact where the engine is.

    Parameters
    ----------
    engine : ranks passages. index : of passages.
    """

    def __init__(self, engine: Engine, index: Index) -> None:
        self.name = engine.name
        self.takes_views = engine.takes_views  # type: ignore[misc]
        self._engine, self._index = engine, index

    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed) -> Ranking:
        ordinals = np.full((len(vectors), k), -1, np.int64)
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        left, depth = np.arange(len(vectors)), self._first_depth(k)
        while len(left):
            rows = vectors
            if len(left) < len(vectors):
                rows = SparseVectors.concatenate([vectors.slice(i, i + 1) for i in left.tolist()])
            found = self._engine.search_vectors(rows, depth, allowed)
            done = np.zeros(len(left), bool)
            for at, row in enumerate(left.tolist()):
                kept, done[at] = self._best(found.ordinals[at], k, depth)
                ordinals[row, : len(kept)] = found.ordinals[at][kept]
                scores[row, : len(kept)] = found.scores[at][kept]
            left, depth = left[~done], self._next_depth(depth)
        return Ranking(ordinals, scores)

    def search_terms(
        self, term_ids: NDArray[np.uint32], weights: NDArray[np.float32], k: int, allowed: Allowed
    ) -> Ranking:
        depth = self._first_depth(k)
        while True:
            found = self._engine.search_terms(term_ids, weights, depth, allowed)
            kept, done = self._best(found.ordinals, k, depth)
            if done:
                ordinals, scores = np.full(k, -1, np.int64), np.full(k, -np.inf, np.float32)
                ordinals[: len(kept)], scores[: len(kept)] = found.ordinals[kept], found.scores[kept]
                return Ranking(ordinals, scores)
            depth = self._next_depth(depth)

    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        return self._engine.impacts(term_ids, document)

    def stats(self) -> dict[str, int]:
        return self._engine.stats()

    @property
    def calibrations(self) -> list[Calibration]:
        return self._engine.calibrations

    def calibrate(self, queries: SparseVectors, k: int) -> Calibration:
        return self._engine.calibrate(queries, self._first_depth(k))

    def _best(self, ordinals: NDArray[np.int64], k: int, depth: int) -> tuple[NDArray[np.int64], bool]:
        """Places of the best passages of the first k documents of a ranking, and whether no deeper one is needed."""
        found = ordinals[ordinals >= 0]
        places: dict[str, int] = {}
        for place, name in enumerate(self._index.docnos(found)):
            places.setdefault(document_of(name or ""), place)
            if len(places) == k:
                break
        whole = len(places) == k or len(found) < depth or depth >= self._index.num_docs
        return np.fromiter(places.values(), np.int64, len(places)), whole

    def _first_depth(self, k: int) -> int:
        return max(1, min(2 * k + 8, self._index.num_docs))

    def _next_depth(self, depth: int) -> int:
        return min(4 * depth, max(1, self._index.num_docs))


def ungrouped(engine: Engine) -> Engine:
    """The engine that ranks passages, under one that ranks documents."""
    return engine._engine if isinstance(engine, GroupingEngine) else engine


def grouping(engine: Engine, index: Index) -> Engine:
    """The engine itself, or one that ranks documents where the index is one of passages."""
    if isinstance(engine, GroupingEngine) or windows_of(index) is None:
        return engine
    return GroupingEngine(engine, index)
