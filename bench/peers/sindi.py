"""SINDI (pyvsag): exhaustive scoring in windows, exact over its stored weights."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings


class Sindi(Adapter):
    def _new(self, terms: int) -> Any:
        import pyvsag

        pyvsag.set_logger_off()
        parameters = {
            "dtype": "sparse",
            "metric_type": "ip",
            "dim": 4096,  # the longest row it may meet, not the vocabulary
            "index_param": {
                "term_id_limit": terms,
                "window_size": 50000,
                "doc_prune_ratio": 0.0,
                "use_reorder": False,
                **self.settings,
            },
        }
        return pyvsag.Index("sindi", json.dumps(parameters))

    def build(self, docs: Any) -> None:
        index = self._new(docs.shape[1])
        index.build(
            docs.indptr.astype(np.uint32),
            docs.indices.astype(np.uint32),
            docs.data,
            np.arange(docs.shape[0], dtype=np.int64),
        )
        index.save(str(self.folder / "index"))
        (self.folder / "terms").write_text(str(docs.shape[1]), encoding="ascii")

    def load(self) -> None:
        self._index = self._new(int((self.folder / "terms").read_text(encoding="ascii")))
        self._index.load(str(self.folder / "index"))

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return np.array([0, len(term_ids)], np.uint32), term_ids.astype(np.uint32), weights

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        parameters = f'{{"sindi":{{"query_prune_ratio":0,"term_prune_ratio":0,"n_candidate":{k}}}}}'
        return self._index.knn_search(*query, k, parameters)

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return np.asarray(answer[0], np.int64).ravel()


PEER = Peer(
    name="sindi",
    package="pyvsag",
    modules=("pyvsag",),
    adapter=Sindi,
    indexes=(
        Index(key="8-bit", settings={"use_quantization": True}, modes=(Mode(label="8-bit", exact=True),)),
        Index(key="float", settings={"use_quantization": False}, modes=(Mode(label="float", exact=True),)),
    ),
)
