"""This project: one index for all exact engines, in input order or in the order the builder picks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.protocol import Adapter, Index, Mode, Peer, Settings

EXACT = ("auto", "block_filter", "exhaustive", "maxscore", "block_max_wand", "wand")
APPROXIMATE = ("approximate .98", "approximate .95")
"""With the recall asked for, which is calibrated on pseudo-queries at the first search."""


class Sparseir(Adapter):
    def build(self, docs: Any) -> None:
        from indexer import IndexConfig, build_index

        build_index(self.folder / "index", docs, config=IndexConfig(**self.settings))

    def load(self) -> None:
        self._searchers: dict[str, Any] = {}
        self._open("auto")

    def _open(self, engine: str) -> Any:
        from sparseir.search.approximate import ApproximateConfig
        from sparseir.search.searcher import Searcher

        if engine not in self._searchers:
            name, _, target = engine.partition(" ")
            chosen = ApproximateConfig(recall_target=float(target)) if target else name
            self._searchers[engine] = Searcher.open(self.folder / "index", engine=chosen)
        return self._searchers[engine]

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return term_ids.astype(np.uint32), weights

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        return self._open(settings["engine"]).search_terms(*query, k)

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
            modes=tuple(
                Mode(label=engine, exact=engine in EXACT, settings={"engine": engine})
                for engine in (*EXACT, *APPROXIMATE)
            ),
        )
        for order in ("auto", "input")
    ),
)
