"""Hard negatives: documents that searches rank high and no judgement calls relevant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparseir.config.data import DataConfig
from sparseir.mining.nearest import ExactIndex
from sparseir.train.material.collection import Training, TrainingQuery
from sparseir.train.material.teachers import BM25Teacher, DenseTeacher


class Negatives:
    """Draws hard negatives of a query; the pool of a query is made when it is first asked for and kept.

    Parameters
    ----------
    bm25, dense : the searches of `data.negatives`; None where not named.

    Likely positives among them are masked later, where the teachers' scores are known (`data.false_negative_margin`).
    """

    def __init__(
        self,
        training: Training,
        data: DataConfig,
        *,
        bm25: BM25Teacher | None = None,
        dense: DenseTeacher | None = None,
    ) -> None:
        self._training = training
        self._count = data.num_negatives
        self._depth = data.negative_depth
        self._bm25 = bm25
        self._dense = None if dense is None else DenseIndex(training, dense)
        self._pools: dict[tuple[int, str], NDArray[np.int64]] = {}

    def draw(self, query: TrainingQuery, rng: np.random.Generator) -> list[int]:
        """`data.num_negatives` positions, different ones as far as the pool reaches; random documents fill it up."""
        pool = self._pool(query)
        chosen = [int(i) for i in rng.permutation(pool)[: self._count]]
        first, end = self._training.ranges[query.collection]
        while len(chosen) < self._count:
            place = int(rng.integers(first, end))
            if place not in query.answers or end - first <= len(query.answers):
                chosen.append(place)
        return chosen

    def _pool(self, query: TrainingQuery) -> NDArray[np.int64]:
        if query.negatives:
            return np.array(query.negatives, np.int64)
        key = (query.collection, query.qid)
        if key not in self._pools:
            found: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
            if self._bm25 is not None:
                found.append(self._bm25.best(query, self._depth))
            if self._dense is not None:
                found.append(self._dense.best(query, self._depth))
            self._pools[key] = np.setdiff1d(np.concatenate(found), np.array(list(query.answers), np.int64))
        return self._pools[key]


class DenseIndex:
    """Exact dense search in each collection, in memory."""

    def __init__(self, training: Training, dense: DenseTeacher) -> None:
        self._dense = dense
        self._ranges = training.ranges
        self._indexes = [ExactIndex(dense.document_vectors(range(first, end))) for first, end in training.ranges]

    def best(self, query: TrainingQuery, k: int) -> NDArray[np.int64]:
        """Positions of the k nearest documents of the query's collection."""
        first, _ = self._ranges[query.collection]
        asked = self._dense.query_vectors([query.text])
        rows = self._indexes[query.collection].best(asked, k)[0][0]
        result: NDArray[np.int64] = rows + first
        return result
