"""BMP (the bmp wheel): block-max pruning, exact over its 8-bit weights and its own query quantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings, impacts


class Bmp(Adapter):
    def build(self, docs: Any) -> None:
        from bmp import Indexer

        names = np.array([str(t) for t in range(docs.shape[1])], dtype=object)
        weights = impacts(docs)
        indexer = Indexer(str(self.folder / "index.bmp"), bsize=self.settings["block_size"], compress_range=False)
        for doc in range(docs.shape[0]):
            at = slice(docs.indptr[doc], docs.indptr[doc + 1])
            vector = dict(zip(names[docs.indices[at]].tolist(), weights[at].tolist(), strict=True))
            indexer.add_document(str(doc), vector)
        indexer.finish()

    def load(self) -> None:
        from bmp import Searcher

        self._searcher = Searcher(str(self.folder / "index.bmp"))

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return {str(t): float(w) for t, w in zip(term_ids, weights, strict=True)}

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        return self._searcher.search(query, k=k, alpha=1.0, beta=1.0)

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return np.array([int(name) for name in answer[0]], np.int64)


PEER = Peer(
    name="bmp",
    package="bmp",
    modules=("bmp",),
    adapter=Bmp,
    indexes=tuple(
        Index(
            key=str(size),
            settings={"block_size": size},
            modes=(Mode(label=f"blocks of {size}", exact=True),),
            peak_bytes_per_posting=95,
        )
        for size in (8, 32)
    ),
)
