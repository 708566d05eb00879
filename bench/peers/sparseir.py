"""This project: one index for all exact engines, in input order or in the order the builder picks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings

EXACT = ("auto", "block_filter", "exhaustive", "maxscore", "block_max_wand", "wand")
APPROXIMATE = ("approximate .98", "approximate .95")
"""With the recall asked for, calibrated at the first search with each k on the queries that are not measured."""


class Sparseir(Adapter):
    def build(self, docs: Any) -> None:
        from indexer import IndexConfig, build_index

        build_index(self.folder / "index", docs, config=IndexConfig(**self.settings))

    def load(self) -> None:
        self._searchers: dict[str, Any] = {}
        self._open("auto")

        self._calibrated: set[tuple[str, int]] = set()
        self._others: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = []

    def tune(self, queries: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]]) -> None:
        self._others = list(queries)

    def _open(self, engine: str, k: int = 0) -> Any:
        from sparseir.search.approximate import ApproximateConfig
        from sparseir.search.searcher import Searcher

        name, _, target = engine.partition(" ")
        if engine not in self._searchers:
            chosen = ApproximateConfig(recall_target=float(target), keep=False) if target else name
            self._searchers[engine] = Searcher.open(self.folder / "index", engine=chosen)
        searcher = self._searchers[engine]
        if target and self._others and (engine, k) not in self._calibrated:
            self._calibrated.add((engine, k))
            self._calibrate(searcher, k)
        return searcher

    def _calibrate(self, searcher: Any, k: int) -> None:
        from indexer import SparseVectors

        lines = [list(zip(terms.tolist(), weights.tolist(), strict=True)) for terms, weights in self._others]
        made = searcher.calibrate(SparseVectors.from_rows(lines, searcher.index.num_terms), k)
        print(made, file=sys.stderr)

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return term_ids.astype(np.uint32), weights

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        return self._open(settings["engine"], k).search_terms(*query, k)

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
