"""Query times inverted matrix in scipy, then a partial sort."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings, inverted


class Scipy(Adapter):
    def build(self, docs: Any) -> None:
        from scipy.sparse import save_npz

        save_npz(self.folder / "lists.npz", inverted(docs).T, compressed=False)

    def load(self) -> None:
        from scipy.sparse import load_npz

        self._lists = load_npz(self.folder / "lists.npz")

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        from scipy.sparse import csr_matrix

        return csr_matrix((weights, term_ids, [0, len(term_ids)]), shape=(1, self._lists.shape[0]))

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        row = query @ self._lists
        k = min(k, row.nnz)
        best = np.argpartition(row.data, row.nnz - k)[row.nnz - k :]
        return row.indices[best[np.argsort(-row.data[best], kind="stable")]]

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return answer.astype(np.int64)


PEER = Peer(
    name="scipy",
    package="scipy",
    modules=("scipy",),
    adapter=Scipy,
    indexes=(Index(key="float", modes=(Mode(label="CSR product", exact=True),)),),
)
