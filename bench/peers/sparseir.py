"""This project: one index for all exact engines, in input order or in the order the builder picks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.protocol import Adapter, Index, Mode, Peer, Settings

EXACT = ("auto", "block_filter", "exhaustive", "maxscore", "block_max_wand", "wand")


class Sparseir(Adapter):
    def build(self, docs: Any) -> None:
        from indexer import IndexConfig, build_index

        build_index(self.folder / "index", docs, config=IndexConfig(**self.settings))

    def load(self) -> None:
        from sparseir.search.searcher import Searcher

        self._searcher = Searcher.open(self.folder / "index")

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return term_ids.astype(np.uint32), weights

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        self._searcher.engine = settings["engine"]
        return self._searcher.search_terms(*query, k)

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return answer.ordinals[answer.ordinals >= 0]


PEER = Peer(
    name="sparseir",
    package="sparseir",
    modules=("sparseir",),
    adapter=Sparseir,
    indexes=tuple(
        Index(
            key=f"order={order}",
            settings={"order": order},
            modes=tuple(Mode(label=engine, exact=True, settings={"engine": engine}) for engine in EXACT),
        )
        for order in ("auto", "input")
    ),
)
