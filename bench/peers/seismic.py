"""Seismic (pyseismic-lsr): clustered posting lists with summaries, approximate.

Its Python API takes query terms and document names as strings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings

NAME = "index"


class Seismic(Adapter):
    def build(self, docs: Any) -> None:
        from seismic import SeismicDataset, SeismicIndex

        dataset = SeismicDataset(dim=docs.shape[1])
        dataset.add_documents_by_id(
            [str(i) for i in range(docs.shape[0])],
            docs.indices.astype(np.int64),
            docs.data,
            docs.indptr.astype(np.int64),
        )
        settings = dict(self.settings)
        per_million = settings.pop("postings_per_million")
        settings["n_postings"] = max(60, round(per_million * docs.shape[0] / 1e6))
        SeismicIndex.build_from_dataset(dataset, num_threads=1, **settings).save(str(self.folder / NAME))

    def load(self) -> None:
        from seismic import SeismicIndex, get_seismic_string

        self._index = SeismicIndex.load(str(self.folder / f"{NAME}.index.seismic"))
        self._string = get_seismic_string()

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return np.array([str(t) for t in term_ids], dtype=self._string), weights

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        terms, weights = query
        return self._index.search("q", terms, weights, k, settings["query_cut"], settings["heap_factor"])

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return np.array([int(hit[2]) for hit in answer], np.int64)


def _mode(cut: int, heap: float) -> Mode:
    return Mode(label=f"cut {cut}, heap {heap}", exact=False, settings={"query_cut": cut, "heap_factor": heap})


PEER = Peer(
    name="seismic",
    package="pyseismic-lsr",
    modules=("seismic",),
    adapter=Seismic,
    indexes=(
        Index(
            key="600",
            # Lists grow with the collection, so that what is kept of them must, too.
            settings={
                "postings_per_million": 600,
                "centroid_fraction": 0.1,
                "max_fraction": 3.0,
                "summary_energy": 0.5,
            },
            modes=(_mode(4, 1.0), _mode(6, 0.9), _mode(10, 0.8), _mode(15, 0.8)),
        ),
    ),
)
