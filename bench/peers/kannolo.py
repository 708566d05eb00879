"""kannolo: a proximity graph (HNSW) over sparse vectors, approximate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings


class Kannolo(Adapter):
    def build(self, docs: Any) -> None:
        from kannolo import SparsePlainHNSW

        index = SparsePlainHNSW.build_from_arrays(
            docs.indices.astype(np.int32), docs.data, docs.indptr.astype(np.int64), **self.settings
        )
        index.save(str(self.folder / "index"))

    def load(self) -> None:
        from kannolo import SparsePlainHNSW

        self._index = SparsePlainHNSW.load(str(self.folder / "index"))

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return term_ids.astype(np.int32), weights

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        return self._index.search(*query, k, ef_search=max(k, settings["ef_search"]))

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return np.asarray(answer[1], np.int64)


PEER = Peer(
    name="kannolo",
    package="kannolo",
    modules=("kannolo",),
    adapter=Kannolo,
    indexes=(
        Index(
            key="hnsw",
            settings={"m": 32, "ef_construction": 200},
            modes=tuple(Mode(label=f"ef {ef}", exact=False, settings={"ef_search": ef}) for ef in (40, 100)),
            max_documents=200_000,
        ),
    ),
)
