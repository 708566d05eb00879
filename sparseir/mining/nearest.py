"""Exact search of dense vectors that are in memory: faiss where it is installed, else numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows and scores, (Q, k) each, best first."""

_QUERIES = 256
"""Queries whose scores of all vectors are in memory at a time, without faiss."""


class ExactIndex:
    """Inner products with all of some vectors.

    Parameters
    ----------
    vectors : float32 (N, H).
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors
        self._index = _faiss_index(vectors)

    def best(self, queries: NDArray[np.float32], k: int) -> Found:
        """Rows int64 and inner products float32, (Q, min(k, N)), of the nearest vectors, best first, ties by row."""
        k = min(k, len(self._vectors))
        if self._index is not None:
            scores, rows = self._index.search(np.ascontiguousarray(queries, np.float32), k)
            order = np.lexsort((rows, -scores))  # equal scores come as its heap leaves them
            return np.take_along_axis(rows, order, 1).astype(np.int64), np.take_along_axis(scores, order, 1)
        parts = [self._block(queries[i : i + _QUERIES], k) for i in range(0, max(1, len(queries)), _QUERIES)]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([scores for _, scores in parts])

    def _block(self, queries: NDArray[np.float32], k: int) -> Found:
        scores = queries @ self._vectors.T
        # The candidates in order of row, so that a stable sort breaks ties by it.
        chosen = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        values = np.take_along_axis(scores, chosen, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        return np.take_along_axis(chosen, order, 1).astype(np.int64), np.take_along_axis(values, order, 1)


def _faiss_index(vectors: NDArray[np.float32]) -> Any:
    try:
        import faiss
    except ImportError:
        return None
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index
