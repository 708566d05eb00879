"""Milvus (milvus-lite 2.5, the C++ engine in a process of its own, reached over gRPC): document at a time over floats.

Needs `pip install pymilvus milvus-lite==2.5.1 "setuptools<81"`. CPU time is that of client and engine together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings

BATCH = 2000
NAME = "docs"


class Milvus(Adapter):
    def _client(self) -> Any:
        from pymilvus import MilvusClient

        return MilvusClient(str(self.folder / "milvus.db"))

    def build(self, docs: Any) -> None:
        from pymilvus import DataType

        client = self._client()
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.SPARSE_FLOAT_VECTOR)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="SPARSE_INVERTED_INDEX", metric_type="IP", params=dict(self.settings))
        client.create_collection(NAME, schema=schema, index_params=index)
        for start in range(0, docs.shape[0], BATCH):
            rows = []
            for row in range(start, min(start + BATCH, docs.shape[0])):
                at = slice(docs.indptr[row], docs.indptr[row + 1])
                vector = dict(zip(docs.indices[at].tolist(), docs.data[at].tolist(), strict=True))
                rows.append({"id": row, "vector": vector})
            client.insert(NAME, rows)
        client.flush(NAME)
        client.close()

    def load(self) -> None:
        self._milvus = self._client()
        self._milvus.load_collection(NAME)

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return [dict(zip(term_ids.tolist(), weights.tolist(), strict=True))]

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        return self._milvus.search(NAME, data=query, anns_field="vector", limit=k, search_params={"metric_type": "IP"})

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return np.array([hit["id"] for hit in answer[0]], np.int64)


PEER = Peer(
    name="milvus",
    package="milvus-lite",
    modules=("pymilvus", "milvus_lite"),
    adapter=Milvus,
    indexes=tuple(
        Index(
            key=algorithm.removeprefix("DAAT_").lower(),
            settings={"inverted_index_algo": algorithm},
            modes=(Mode(label=algorithm, exact=True),),
            max_documents=200_000,
        )
        for algorithm in ("DAAT_MAXSCORE", "DAAT_WAND")
    ),
)
