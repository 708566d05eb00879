"""Term-at-a-time scoring in numba over float posting lists: the plain program anybody would write first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings, inverted


def _kernel() -> Any:
    from numba import njit

    Ints, Floats = NDArray[np.integer], NDArray[np.float32]

    @njit(fastmath=False)
    def score(indptr: Ints, rows: Ints, weights: Floats, terms: Ints, query: Floats, accumulator: Floats) -> None:
        accumulator[:] = 0
        for i in range(len(terms)):
            q = query[i]
            for p in range(indptr[terms[i]], indptr[terms[i] + 1]):
                accumulator[rows[p]] += q * weights[p]

    return score


class Numba(Adapter):
    def build(self, docs: Any) -> None:
        lists = inverted(docs)
        np.save(self.folder / "indptr.npy", lists.indptr.astype(np.int64))
        np.save(self.folder / "rows.npy", lists.indices.astype(np.int32))
        np.save(self.folder / "weights.npy", lists.data)
        np.save(self.folder / "shape.npy", np.array(docs.shape))

    def load(self) -> None:
        self._lists = [np.load(self.folder / f"{name}.npy") for name in ("indptr", "rows", "weights")]
        self._accumulator = np.zeros(int(np.load(self.folder / "shape.npy")[0]), np.float32)
        self._score = _kernel()

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return term_ids, weights

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        accumulator = self._accumulator
        self._score(*self._lists, *query, accumulator)
        k = min(k, len(accumulator))
        best = np.argpartition(accumulator, len(accumulator) - k)[-k:]
        return best[np.argsort(-accumulator[best], kind="stable")]

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return answer


PEER = Peer(
    name="numba",
    package="numba",
    modules=("numba", "scipy"),
    adapter=Numba,
    indexes=(Index(key="float", modes=(Mode(label="term at a time", exact=True),)),),
)
