"""Qdrant edge (qdrant-edge-py): the engine in process, exact sparse search over floats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings

BATCH = 2000
NAME = "t"


class Qdrant(Adapter):
    def build(self, docs: Any) -> None:
        import qdrant_edge as qd

        config = qd.EdgeConfig(
            sparse_vectors={NAME: qd.EdgeSparseVectorParams()},
            optimizers=qd.EdgeOptimizersConfig(default_segment_number=1),
        )
        shard = qd.EdgeShard.create(str(self.folder / "shard"), config)
        for start in range(0, docs.shape[0], BATCH):
            points = []
            for row in range(start, min(start + BATCH, docs.shape[0])):
                at = slice(docs.indptr[row], docs.indptr[row + 1])
                vector = qd.SparseVector(docs.indices[at].tolist(), docs.data[at].tolist())
                points.append(qd.Point(row, {NAME: vector}))
            shard.update(qd.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()
        shard.close()

    def load(self) -> None:
        import qdrant_edge as qd

        self._qd = qd
        self._shard = qd.EdgeShard.load(str(self.folder / "shard"))

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return self._qd.Query.Nearest(self._qd.SparseVector(term_ids.tolist(), weights.tolist()), using=NAME)

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        return self._shard.search(self._qd.SearchRequest(query=query, limit=k))

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return np.array([hit.id for hit in answer], np.int64)


PEER = Peer(
    name="qdrant",
    package="qdrant-edge-py",
    modules=("qdrant_edge",),
    adapter=Qdrant,
    indexes=(Index(key="edge", modes=(Mode(label="edge", exact=True),)),),
)
