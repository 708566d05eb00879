"""The engine over shards on other machines: asks all, and merges what they find."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.native.engine import ENGINES
from indexer.native.queries import quantize_queries
from sparseir.errors import ConfigError
from sparseir.search.engines import Allowed, Bitmaps, Engine
from sparseir.search.remote.index import RemoteIndex
from sparseir.search.remote.lists import read_lists
from sparseir.search.results import Ranking

_ROWS, _WEIGHTS = 256, 40_000
"""Queries, and weights of these, that go to a shard in one request."""


class RemoteEngine(Engine):
    """Asks all shards, and merges what they find: score descending, ordinal ascending.

    Raises
    ------
    ConfigError : an engine whose scores are no integers.
    """

    def __init__(self, index: RemoteIndex, engine: object) -> None:
        if not isinstance(engine, str) or engine not in ENGINES:
            name = engine if isinstance(engine, str) else getattr(engine, "engine", engine)
            raise ConfigError(
                f"engine {name!r} does not search shards on other machines, whose integer scores are merged; "
                f"there are: {', '.join(ENGINES)}"
            )
        self.name, self._index = engine, index

    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed) -> Ranking:
        rows = SparseVectors.from_arrays(
            vectors.indptr, vectors.term_ids, vectors.weights, vectors.num_terms, source="queries"
        )
        depth = max(1, min(k, self._index.num_docs))
        ordinals = np.full((len(rows), k), -1, np.int64)
        scores = np.full((len(rows), k), -np.inf, np.float32)
        begin = 0
        while begin < len(rows):
            room = int(np.searchsorted(rows.indptr, rows.indptr[begin] + _WEIGHTS, side="right")) - 1
            end = min(len(rows), begin + _ROWS, max(begin + 1, room))
            self._merge(rows.slice(begin, end), depth, allowed, ordinals[begin:end], scores[begin:end])
            begin = end
        return Ranking(ordinals, scores)

    def _merge(
        self, rows: SparseVectors, k: int, allowed: Allowed, ordinals: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> None:
        quantised, scales = quantize_queries(rows)
        answers = self._index.ask_all(
            "/search",
            engine=self.name,
            k=k,
            indptr=quantised.indptr.tolist(),
            term_ids=quantised.ids.tolist(),
            weights=quantised.weights.tolist(),
            filter=allowed,
        )
        lists = [read_lists(raw, len(rows)) for _, raw in answers]
        for row in range(len(rows)):
            found = np.concatenate([of_shard[row][0] for of_shard in lists])
            integers = np.concatenate([of_shard[row][1] for of_shard in lists]).astype(np.int64)
            # Shards come in the order of their documents, and each list by its ordinals where scores are equal.
            best = np.argsort(-integers, kind="stable")[:k]
            ordinals[row, : len(best)] = found[best]
            scores[row, : len(best)] = (integers[best] * self._index.doc_scale * scales[row]).astype(np.float32)

    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        """Of one document, given by its ordinal in the place of bitmaps."""
        return self._index.impacts(term_ids, np.array(document, np.int64))[:, 0]
